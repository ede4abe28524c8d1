"""Find the pictures of sources that are no folders of this machine: ``s3://bucket/photos``, ``shards/{0..9}.tar``."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from imtext.errors import SearchError
from imtext.preprocess.formats import ENDING
from imtext.search.files import is_remote, list_files, members
from imtext.search.index.exclusion import Folder, Tree
from imtext.search.store.records import File

if TYPE_CHECKING:
    from imtext.search.index.discovery import Found


def find_remote(source: str, remembered: bool, found: Found) -> Found:
    """Add the pictures below a URL. They are known by the endings of their names, because a look into each costs time.

    Args:
        source: a URL.
        remembered: a source that is missing is recorded instead of an error.
        found: where they are added.

    Raises:
        MissingExtraError: fsspec is not installed.
        SearchError: the source cannot be listed.
    """
    url = source.rstrip("/")
    try:
        states = list_files(url)
    except OSError as error:
        reason = error.strerror or str(error)
        if not remembered:
            raise SearchError(f"{source} cannot be listed: {reason}") from error
        if isinstance(error, FileNotFoundError):
            found.missing.append(url)
            reason = "no longer exists; --allow-empty forgets it and removes its pictures"
        found.refused[url] = reason
        return found
    if list(states) == [url]:
        found.files[url] = _known_or_new(url, states[url], found)
        return found
    _add_below(url, {path: state for path, state in states.items() if ENDING.search(path)}, found)
    if not (remembered or found.files):
        found.without_pictures.append(url)
    return found


def _add_below(root: str, states: Mapping[str, os.stat_result], found: Found) -> None:
    """Add the pictures below a URL or in a shard, except those that are left out."""
    found.folders.append(root)
    tree = Tree(Folder(root, found.rules))
    for path, state in states.items():
        folder = tree.folder(os.path.dirname(path))
        if reason := folder.left_out or folder.why_left_out(os.path.basename(path), is_folder=False):
            found.skipped[folder.path if folder.left_out else path] = reason
        else:
            found.files[path] = _known_or_new(path, state, found)


def _known_or_new(path: str, state: os.stat_result, found: Found) -> File:
    before = found.known.get(path)
    return before if before is not None and before.is_as(state) else File.found(path, state)


def find_shards(source: str, remembered: bool, found: Found) -> Found:
    """Add the pictures in tar or parquet files.

    Args:
        source: a shard, or several: ``photos-*.parquet`` on this machine, ``s3://bucket/{0000..0127}.tar`` anywhere.
        remembered: a source that is missing is recorded instead of an error.
        found: where they are added.

    Raises:
        MissingExtraError: a package that reads them is not installed.
        SearchError: one of them cannot be read.
    """
    for shard in _shards(source):
        try:
            states = members(shard)
        except OSError as error:
            reason = error.strerror or str(error)
            if not remembered:
                raise SearchError(f"{shard} cannot be read: {reason}") from error
            if isinstance(error, FileNotFoundError):
                found.missing.append(shard)
            found.refused[shard] = reason
            continue
        is_table = not shard.lower().endswith(".tar")
        _add_below(shard, {path: one for path, one in states.items() if is_table or ENDING.search(path)}, found)
    if not (remembered or found.files):
        found.without_pictures.append(source)
    return found


def _shards(source: str) -> list[str]:
    """The shards that a source names: ranges of numbers such as ``{0000..0127}``, then patterns on this machine."""
    span = re.search(r"\{(\d+)\.\.(\d+)\}", source)
    if span is not None:
        width, numbers = len(span[1]), range(int(span[1]), int(span[2]) + 1)
        return [
            shard
            for number in numbers
            for shard in _shards(f"{source[: span.start()]}{number:0{width}}{source[span.end() :]}")
        ]
    if is_remote(source):
        return [source]
    path = os.path.abspath(os.path.expanduser(source))
    return sorted(glob.glob(path)) or [path]
