"""Find the pictures in sources: folders, patterns, lists of paths, single files."""

from __future__ import annotations

import glob
import os
import stat
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field

from imtext.errors import SearchError
from imtext.preprocess import FORMATS
from imtext.search.query import PICTURE
from imtext.search.store.protocol import File

MAX_LIST = 100_000_000  # bytes of a text file of paths


@dataclass
class Found:
    """The pictures found in sources.

    Attributes:
        files: picture files by path.
        folders: folders that were searched completely: an indexed picture below one that is not in `files` is gone.
        refused: paths that could not be accessed, and why.
        missing: remembered sources that no longer exist.
        without_pictures: sources named for the first time that contain no pictures.
        complete: whether all remembered sources were searched. Then an indexed file outside of them is gone if it does
            not exist.
        trust_missing: whether such a file is gone even if its folder does not exist either.
    """

    files: dict[str, File] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    without_pictures: list[str] = field(default_factory=list)
    complete: bool = False
    trust_missing: bool = False

    def add(self, path: str) -> None:
        """Add a file if it is a regular file that can be accessed."""
        try:
            state = os.stat(path)
        except OSError as error:
            self.refused[path] = error.strerror or str(error)
            return
        if not stat.S_ISREG(state.st_mode):  # reading a pipe would never end
            self.refused[path] = "not a regular file"
            return
        self.files[path] = File.found(path, state)

    def add_folder(self, folder: str) -> None:
        """Add all pictures below a folder, in order of name.

        Links to folders are not followed, because they can form a cycle. Hidden files and folders are left out.
        """
        waiting = [folder]
        while waiting:
            present = waiting.pop()
            try:
                with os.scandir(present) as entries:
                    inside = sorted((entry for entry in entries if entry.name[0] != "."), key=lambda entry: entry.name)
            except OSError as error:
                self.refused[present] = f"cannot be listed: {error.strerror}"
                continue
            for entry in inside:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif PICTURE.search(entry.name):
                    self.add(entry.path)

    def add_list(self, lines: Iterable[str], relative_to: str) -> bool:
        """Add the files and folders that a list names; returns False if none of them exists."""
        exists = False
        for line in lines:
            if line.strip():
                path = os.path.abspath(os.path.join(relative_to, os.path.expanduser(line.rstrip("\r\n"))))
                exists = exists or os.path.lexists(path)
                if os.path.isdir(path):
                    self.add_folder(path)
                else:
                    self.add(path)
        return exists

    def believe_missing(self) -> None:
        """Treat the pictures of missing sources as gone."""
        self.trust_missing = True
        self.folders += self.missing
        for path in self.missing:
            del self.refused[path]


def find(sources: Iterable[str], remembered: bool = False, files: Iterable[str] = ()) -> Found:
    """Find pictures.

    Args:
        sources: each a folder (with all its subfolders except hidden ones), a picture, a pattern such as
            ``~/Pictures/2024*/*.jpg``, a text file that lists paths, or ``-`` for such a list on standard input.
        remembered: the sources were searched before. A missing source is then recorded instead of an error, and the
            others are still searched.
        files: paths, as in a list; a missing file is refused.

    Raises:
        SearchError: a source is none of these.
    """
    found = Found()
    found.add_list(files, os.getcwd())
    for source in sources:
        # Each source is searched separately, to find out whether it contains any pictures.
        present = _find(source, remembered)
        found.files |= present.files
        found.folders += present.folders
        found.refused |= present.refused
        found.missing += present.missing
        found.without_pictures += present.without_pictures
    return found


def _find(source: str, remembered: bool) -> Found:
    found = Found()
    path = os.path.abspath(os.path.expanduser(source))
    if source == "-":
        found.add_list(_split(sys.stdin.buffer.read()), os.getcwd())
        return found
    if os.path.isdir(path):
        found.folders.append(path)
        found.add_folder(path)
    elif os.path.isfile(path) and PICTURE.search(path):
        found.add(path)
    elif os.path.isfile(path):
        _read_list(found, source, path, remembered)
    elif glob.has_magic(source) and (matches := sorted(glob.glob(os.path.expanduser(source), recursive=True))):
        found.add_list(matches, os.getcwd())
    elif remembered:
        found.missing.append(path)
        found.refused[path] = "no longer exists; --allow-empty forgets it and removes its pictures"
    elif glob.has_magic(source):
        raise SearchError(f"Nothing matches {source}")
    else:
        raise SearchError(
            f"{source} does not exist. Give a folder, pictures, a pattern in quotes, or a text file of paths"
        )
    if not (remembered or found.files or found.refused):  # refused paths may contain pictures
        found.without_pictures.append(path)
    return found


def _read_list(found: Found, source: str, path: str, remembered: bool) -> None:
    """Add the files and folders that a text file of paths names."""
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_LIST + 1)
    except OSError as error:
        raise SearchError(f"{source} cannot be read: {error.strerror}") from error
    if len(content) > MAX_LIST or _is_binary(content):
        found.refused[path] = f"neither a picture ({', '.join(FORMATS)}) nor a list of paths"
        if not remembered:
            found.without_pictures.append(path)
    elif not found.add_list(_split(content), os.path.dirname(path)) and not remembered:
        raise SearchError(f"{source} is not a list of pictures: none of its lines names a path that exists")


def _is_binary(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return b"\0" in content
    return b"\0" in content and b"/" not in content.partition(b"\0")[0]  # `find -print0` writes paths


def _split(content: bytes) -> list[str]:
    """The paths of a list, in any encoding: one per line, or each ended by NUL as `find -print0` writes them."""
    return [os.fsdecode(line) for line in content.split(b"\0" if b"\0" in content else b"\n")]
