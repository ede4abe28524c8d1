"""The sources of an update: those that are named, or all that are remembered."""

from __future__ import annotations

import os
from collections.abc import Sequence

from imtext.errors import SearchError
from imtext.search.files import is_remote
from imtext.search.index.changes import has_files
from imtext.search.index.discovery import NO_RULES, Found, find
from imtext.search.index.rules import Rules
from imtext.search.store.protocol import Store

EMPTIED = "no longer has pictures; --allow-empty removes those that are indexed"


def look(store: Store, sources: Sequence[str], files: Sequence[str] = (), rules: Rules = NO_RULES) -> Found:
    """Find the pictures of the named sources and files; without any, those of all remembered sources.

    Raises:
        SearchError: a named source does not exist, or no source is named or remembered.
    """
    known = {file.path: file for file in store.files()}
    if sources or files:
        return find(sources, files=files, rules=rules, known=known)
    remembered = store.sources()
    if not remembered and not known:
        raise SearchError("Nothing has been indexed yet. Name a folder: imtext index ~/Pictures")
    found = find(remembered, remembered=True, rules=rules, known=known)
    found.complete = True
    return found


def emptied_folders(store: Store, found: Found) -> list[str]:
    """Folders without pictures that have pictures in the index, except folders that cannot be listed.

    An empty folder is often the mount point of a drive that is not mounted.
    """
    return [
        folder
        for folder in found.folders
        if folder not in found.refused
        and not any(path.startswith(folder.rstrip(os.sep) + os.sep) for path in found.files)
        and has_files(store, folder)
    ]


def refuse_emptied(store: Store, found: Found) -> None:
    """Keep the pictures of folders that are suddenly empty; all other folders are updated."""
    found.refused |= dict.fromkeys(emptied_folders(store, found), EMPTIED)


def require_pictures(store: Store, found: Found) -> None:
    """Like `refuse_emptied`, for folders that the user named: an empty one is an error.

    Raises:
        SearchError: a named folder is suddenly empty.
    """
    if not found.complete and (emptied := emptied_folders(store, found)):
        raise SearchError(
            f"{emptied[0]} no longer contains pictures, but the index has pictures of it. Is a drive not mounted? To "
            "remove them from the index, add --allow-empty"
        )
    refuse_emptied(store, found)


def remember(store: Store, sources: Sequence[str], found: Found, forget_missing: bool) -> list[str]:
    """Remember named sources for later updates; returns the sources left out because they have no pictures at all.

    Paths are made absolute, so that they mean the same in any folder. A list on standard input cannot be read again.
    """
    without_pictures = [path for path in found.without_pictures if not has_files(store, path)]
    absolute = [_absolute(source) for source in sources if source != "-"]
    kept = [path for path in absolute if path not in without_pictures]
    store.remember(kept, forget=found.missing if forget_missing else [])
    return without_pictures


def _absolute(source: str) -> str:
    return source.rstrip("/") if is_remote(source) else os.path.abspath(os.path.expanduser(source))
