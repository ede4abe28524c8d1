"""Find the pictures of a remote source, such as ``s3://bucket/photos``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from imtext.errors import SearchError
from imtext.preprocess.formats import ENDING
from imtext.search.index.exclusion import Folder, Tree
from imtext.search.remote import list_files
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
    found.folders.append(url)
    tree = Tree(Folder(url, found.rules))
    for path, state in states.items():
        if not ENDING.search(path):
            continue
        folder = tree.folder(os.path.dirname(path))
        if reason := folder.left_out or folder.why_left_out(os.path.basename(path), is_folder=False):
            found.skipped[folder.path if folder.left_out else path] = reason
        else:
            found.files[path] = _known_or_new(path, state, found)
    if not (remembered or found.files):
        found.without_pictures.append(url)
    return found


def _known_or_new(path: str, state: os.stat_result, found: Found) -> File:
    before = found.known.get(path)
    return before if before is not None and before.is_as(state) else File.found(path, state)
