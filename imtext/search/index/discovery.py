"""Find the pictures in sources: folders, patterns, lists of paths, single files."""

from __future__ import annotations

import glob
import os
import stat
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from imtext.errors import SearchError
from imtext.preprocess.formats import ENDING, FORMATS, install_hint, is_readable, why_unreadable
from imtext.search.files import is_remote, is_shard
from imtext.search.index.buckets import find_remote, find_shards
from imtext.search.index.exclusion import IGNORE, Folder, IgnoreFileError, Tree
from imtext.search.index.kinds import kind_of, kinds_of
from imtext.search.index.rules import Rules
from imtext.search.store.records import File

MAX_LIST = 100_000_000  # bytes of a text file of paths
NO_RULES = Rules()


@dataclass
class Found:
    """The pictures found in sources.

    Attributes:
        rules: what the user leaves out.
        known: the files that the index knows, by path; those that have not changed are not opened.
        files: picture files by path.
        folders: folders that were searched completely: an indexed picture below one that is not in `files` is gone.
        refused: paths that could not be accessed, and why.
        other: pictures and videos that cannot be read, with their types.
        skipped: files and folders that were not looked at, and why, as names to count them under; empty for hidden
            files that nobody would call a picture.
        missing: remembered sources that no longer exist.
        without_pictures: sources named for the first time that contain no pictures.
        complete: whether all remembered sources were searched. Then an indexed file outside of them is gone if it does
            not exist.
        trust_missing: whether such a file is gone even if its folder does not exist either.
    """

    rules: Rules = NO_RULES
    known: Mapping[str, File] = field(default_factory=dict)
    files: dict[str, File] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    other: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    without_pictures: list[str] = field(default_factory=list)
    complete: bool = False
    trust_missing: bool = False

    def add(self, path: str) -> None:
        """Add a file that the user named, if it is a regular file that can be accessed."""
        if (file := self._state(path)) is not None:
            self.files[path] = file

    def _state(self, path: str, is_named: bool = True) -> File | None:
        try:
            state = os.stat(path)
        except OSError as error:
            reason = error.strerror or str(error)
        else:
            if (before := self.known.get(path)) is not None and before.is_as(state):
                return before
            if stat.S_ISREG(state.st_mode):  # reading a pipe would never end
                return File.found(path, state)
            reason = "not a regular file"
        if is_named:
            self.refused[path] = reason
        return None

    def add_folder(self, folder: Folder) -> None:
        """Add all pictures below a folder, in order of name.

        Links to folders are not followed, because they can form a cycle.
        """
        inside: dict[str, File] = {}
        waiting = [folder]
        while waiting:
            present = waiting.pop()
            try:
                with os.scandir(present.path) as entries:
                    entries_by_name = sorted(entries, key=lambda entry: entry.name)
                if any(entry.name == IGNORE for entry in entries_by_name):
                    present.read_ignore_file()
            except OSError as error:
                self.refused[present.path] = f"cannot be listed: {error.strerror}"
                continue
            except IgnoreFileError as error:
                self.refused[present.path] = str(error)
                continue
            for entry in entries_by_name:
                if entry.is_dir(follow_symlinks=False):
                    below = present.enter(entry.name)
                    if below.left_out:
                        self.skipped[below.path] = below.left_out
                    else:
                        waiting.append(below)
                else:
                    self._consider(entry.path, entry.name, present, inside)
        self._sift(inside)

    def add_matches(self, paths: Iterable[str], root: str) -> None:
        """Add the pictures that a pattern matches, except those that are left out below a root, and whole folders."""
        inside: dict[str, File] = {}
        tree = Tree(Folder(root, self.rules))
        for path in paths:
            is_folder = os.path.isdir(path)
            try:
                folder = tree.folder(path if is_folder else os.path.dirname(path))
            except IgnoreFileError as error:
                self.refused[path] = str(error)
                continue
            if folder.left_out:
                self.skipped[folder.path] = folder.left_out
            elif is_folder:
                self.add_folder(folder)
            else:
                self._consider(path, os.path.basename(path), folder, inside)
        self._sift(inside)

    def _consider(self, path: str, name: str, folder: Folder, inside: dict[str, File]) -> None:
        """Note a file in a folder whose content may be a picture."""
        is_called_picture = bool(ENDING.search(name))
        if reason := folder.why_left_out(name, is_folder=False):
            self.skipped[path] = reason if is_called_picture else ""
        elif (file := self._state(path, is_called_picture or path in self.known)) is not None:
            inside[path] = file

    def _sift(self, inside: Mapping[str, File]) -> None:
        """Add the files that are pictures by their content; those that the index knows and that are unchanged are."""
        unsure = [path for path, file in inside.items() if not self._is_known(file)]
        kinds = dict(zip(unsure, kinds_of(unsure), strict=True))
        for path, file in inside.items():
            kind = kinds.get(path, "")
            if kind and not is_readable(kind):
                self.other[path] = kind
            elif kind or path in self.known or ENDING.search(path):
                self.files[path] = file

    def _is_known(self, file: File) -> bool:
        before = self.known.get(file.path)
        return file is before or (before is not None and file.unchanged_since(before))

    def add_list(self, lines: Iterable[str], relative_to: str) -> bool:
        """Add the files and folders that a list names; returns False if none of them exists."""
        exists = False
        for line in lines:
            if line.strip():
                path = os.path.abspath(os.path.join(relative_to, os.path.expanduser(line.rstrip("\r\n"))))
                exists = exists or os.path.lexists(path)
                if os.path.isdir(path):
                    self.add_folder(Folder(path, self.rules))
                else:
                    self.add(path)
        return exists

    def is_skipped(self, path: str) -> bool:
        """Whether a file or a folder that contains it was left out."""
        while path not in self.skipped:
            path, before = os.path.dirname(path), path
            if path == before:
                return False
        return True

    def believe_missing(self) -> None:
        """Treat the pictures of missing sources as gone."""
        self.trust_missing = True
        self.folders += self.missing
        for path in self.missing:
            self.refused.pop(path, None)  # a source may be named twice


def find(
    sources: Iterable[str],
    remembered: bool = False,
    files: Iterable[str] = (),
    rules: Rules = NO_RULES,
    known: Mapping[str, File] = MappingProxyType({}),
) -> Found:
    """Find pictures.

    Args:
        sources: each a folder (with all its subfolders), a picture, a pattern such as ``~/Pictures/2024*/*.jpg``, a
            text file that lists paths, ``-`` for such a list on standard input, a URL such as ``s3://bucket/photos``,
            or tar and parquet files.
        remembered: the sources were searched before. A missing source is then recorded instead of an error, and the
            others are still searched.
        files: paths, as in a list; a missing file is refused.
        rules: what is left out below folders and patterns; files that are named are not left out.
        known: the files that the index knows, by path.

    Raises:
        SearchError: a source is none of these.
    """
    found = Found(rules, known)
    found.add_list(files, os.getcwd())
    for source in sources:
        # Each source is searched separately, to find out whether it contains any pictures.
        present = _find(source, remembered, Found(rules, known))
        for name in ("files", "refused", "other", "skipped"):
            getattr(found, name).update(getattr(present, name))
        found.folders += present.folders
        found.missing += present.missing
        found.without_pictures += present.without_pictures
    return found


def _find(source: str, remembered: bool, found: Found) -> Found:
    if is_shard(os.path.expanduser(source)):
        return find_shards(source, remembered, found)
    if is_remote(source):
        return find_remote(source, remembered, found)
    path = os.path.abspath(os.path.expanduser(source))
    if source == "-":
        found.add_list(_split(sys.stdin.buffer.read()), os.getcwd())
        return found
    if os.path.isdir(path):
        found.folders.append(path)
        found.add_folder(Folder(path, found.rules))
    elif os.path.isfile(path) and (is_readable(kind := kind_of(path)) or ENDING.search(path)):
        found.add(path)
    elif os.path.isfile(path):
        _read_list(found, source, path, remembered, kind)
    elif glob.has_magic(source) and (matches := sorted(glob.glob(os.path.expanduser(source), recursive=True))):
        found.add_matches(map(os.path.abspath, matches), _fixed_part(source))
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


def _fixed_part(pattern: str) -> str:
    """The folder in which a pattern begins to vary."""
    while glob.has_magic(pattern):
        pattern = os.path.dirname(pattern)
    return os.path.abspath(os.path.expanduser(pattern))


def _read_list(found: Found, source: str, path: str, remembered: bool, kind: str) -> None:
    """Add the files and folders that a text file of paths names."""
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_LIST + 1)
    except OSError as error:
        raise SearchError(f"{source} cannot be read: {error.strerror}") from error
    if kind or len(content) > MAX_LIST or _is_binary(content):
        found.refused[path] = f"neither a picture ({', '.join(FORMATS)}) nor a list of paths"
        if install_hint(kind):
            found.refused[path] = why_unreadable(kind)
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
