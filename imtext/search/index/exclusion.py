"""What is left out below a folder: thumbnails and rubbish by name, hidden files, and what the user excludes."""

from __future__ import annotations

import os

from pathspec import GitIgnoreSpec

from imtext.search.index.rules import Rules

IGNORE = ".imtextignore"
HIDDEN, BY_OPTION, BY_FILE = "hidden", "by --exclude", f"by {IGNORE}"
BY_USER = (BY_OPTION, BY_FILE)

# Folders that systems and programs make beside photos. Other names that begin with a dot are hidden.
_NAMES = (
    "@eaDir", "#recycle", "#snapshot", "@tmp",  # Synology
    "@Recycle", "@Recently-Snapshot", ".@__thumb", "@__thumb",  # QNAP
    "$RECYCLE.BIN", "RECYCLER", "System Volume Information",  # Windows
    "Network Trash Folder", "__MACOSX",  # macOS
    "lost+found", ".thumbnails", ".dtrash", ".picasaoriginals",  # Linux, Android, digiKam, Picasa
)  # fmt: skip
NO_PHOTOS = {name.casefold(): name for name in _NAMES}
CACHES = {".lrdata", ".lrcat-data", ".cocatalogdb"}  # endings of folders: previews of Lightroom and Capture One
LIBRARIES = {".photoslibrary", ".photolibrary", ".migratedphotolibrary", ".aplibrary"}  # endings of folders, macOS
ORIGINALS = {"originals", "masters"}  # in a library; all else are previews and databases


class IgnoreFileError(Exception):
    """An `.imtextignore` file cannot be read, or one of its lines is not a pattern."""


class Folder:
    """A folder, and what is left out in it.

    Args:
        path: path of the folder.
        rules: what the user leaves out.
        above: the folder that contains it; None for a folder that the user named, whose own name does not matter.

    Attributes:
        left_out: why the folder itself is left out, as a name to count it under; empty if it is not.
    """

    def __init__(self, path: str, rules: Rules, above: Folder | None = None) -> None:
        self.path, self.rules = path, rules
        self.left_out = above.why_left_out(os.path.basename(path), is_folder=True) if above else ""
        self._is_library = os.path.splitext(path)[1].lower() in LIBRARIES
        # The first pattern that says something decides: those of the user, then those of the deepest folder.
        self._patterns: tuple[tuple[int, GitIgnoreSpec, str], ...] = ()
        if above is not None:
            self._patterns = above._patterns
        elif rules.exclude:
            self._patterns = ((_start(path), GitIgnoreSpec.from_lines(rules.exclude), BY_OPTION),)

    def read_ignore_file(self) -> None:
        """Follow the folder's own `.imtextignore`, if there is one.

        Raises:
            IgnoreFileError: it cannot be read, or a line is not a pattern.
        """
        try:
            with open(os.path.join(self.path, IGNORE), "rb") as file:
                lines = os.fsdecode(file.read().removeprefix(b"\xef\xbb\xbf")).replace("\r\n", "\n").split("\n")
            own = (_start(self.path), GitIgnoreSpec.from_lines(lines), BY_FILE)
        except (FileNotFoundError, NotADirectoryError):  # the latter in a tar file
            return
        except (OSError, ValueError) as error:
            raise IgnoreFileError(f"{IGNORE}: {getattr(error, 'strerror', None) or error}") from error
        user = 1 if self.rules.exclude else 0
        self._patterns = (*self._patterns[:user], own, *self._patterns[user:])

    def why_left_out(self, name: str, is_folder: bool) -> str:
        """Why a file or folder in this folder is left out, as a name to count it under; empty if it is not."""
        if not self.rules.include_hidden and (reason := self._by_name(name, is_folder)):
            return reason
        path = os.path.join(self.path, name) + "/" * is_folder if self._patterns else ""
        for start, patterns, reason in self._patterns:
            excluded = patterns.check_file(path[start:]).include
            if excluded is not None:
                return reason if excluded else ""
        return ""

    def enter(self, name: str) -> Folder:
        """A folder in this folder."""
        return Folder(os.path.join(self.path, name), self.rules, self)

    def _by_name(self, name: str, is_folder: bool) -> str:
        if is_folder:
            ending = os.path.splitext(name)[1].lower()
            if name[:6].lower() == ".trash":
                return ".Trash"
            if known := NO_PHOTOS.get(name.casefold()):
                return known
            if ending in CACHES:
                return f"*{ending}"
            if self._is_library and name.lower() not in ORIGINALS:
                return "in photo libraries"
        return HIDDEN if name[0] == "." else ""


class Tree:
    """The folders below one that the user named, found by their paths."""

    def __init__(self, root: Folder) -> None:
        self._root, self._folders = root, {root.path: root}

    def folder(self, path: str) -> Folder:
        """The folder at a path, or the outermost folder on the way to it that is left out.

        Raises:
            IgnoreFileError: an `.imtextignore` on the way cannot be read.
        """
        if path not in self._folders:
            outside = not path.startswith(self._root.path) or path == os.path.dirname(path)
            above = self._root if outside else self.folder(os.path.dirname(path))
            self._folders[path] = above if outside or above.left_out else above.enter(os.path.basename(path))
            if not self._folders[path].left_out:
                self._folders[path].read_ignore_file()
        return self._folders[path]


def _start(folder: str) -> int:
    """Where names begin in the paths below a folder."""
    return len(folder.rstrip(os.sep)) + 1
