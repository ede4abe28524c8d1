"""The difference between the files on disk and the files in a store."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from imtext.search.index.discovery import Found
from imtext.search.store.protocol import Store
from imtext.search.store.records import File


@dataclass
class Changes:
    """The changes that an update would make.

    Attributes:
        new: files that are not in the index.
        changed: files whose size, times or place on the drive have changed since they were indexed.
        recorded: unchanged files that an earlier version has indexed, with all that this version records of a file.
        gone: paths in the index that no longer exist.
        before: the content that changed and gone files had; empty for those that were refused.
        unchanged: number of files that are up to date.
        refused_before: number of unchanged files that were refused earlier.
        refused: paths that could not be accessed, and why.
        other: types of pictures and videos that cannot be read, with their numbers.
        skipped: reasons why files and folders were not looked at, with their numbers.
    """

    new: list[File] = field(default_factory=list)
    changed: list[File] = field(default_factory=list)
    recorded: list[File] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    before: dict[str, bytes] = field(default_factory=dict)
    unchanged: int = 0
    refused_before: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    other: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)


def compare(store: Store | None, found: Found, verify: bool = False) -> Changes:
    """The changes that an update would make for the files that were found.

    Args:
        store: what was indexed; None for an index that is not there yet.
        found: what is there.
        verify: take all files as changed, so that the content of each is read and compared.
    """
    found = replace(found, files=dict(found.files), refused=dict(found.refused))
    known = found.known or ({file.path: file for file in store.files()} if store else {})
    folders = tuple(folder.rstrip(os.sep) + os.sep for folder in found.folders)
    expected = {path: file for path, file in known.items() if path.startswith(folders)}
    if found.complete:
        _follow_single_files(known, found, expected)
    changes = Changes(refused=found.refused, other=Counter(found.other.values()))
    changes.skipped = Counter(reason for reason in found.skipped.values() if reason)
    for path, file in found.files.items():
        was = known.get(path)
        if was is None:
            changes.new.append(file)
        elif verify or not (file is was or file.unchanged_since(was)):
            changes.changed.append(replace(file, content=b"", reason=""))
        else:
            if file.ctime_ns and not was.ctime_ns:
                changes.recorded.append(replace(file, content=was.content, reason=was.reason))
            changes.unchanged += 1
            changes.refused_before += bool(was.reason)
    # A path that cannot be accessed is not gone, and neither is anything below it.
    refused = tuple(path + os.sep for path in found.refused)
    changes.gone = [
        path for path in expected if not (path in found.files or path in found.refused or path.startswith(refused))
    ]
    affected = [*(file.path for file in changes.changed), *changes.gone]
    changes.before = {path: known[path].content for path in affected}
    return changes


def has_files(store: Store, below: str | None = None) -> bool:
    """Does the store know any file (below a folder)?"""
    return any(True for _ in store.files(below))


def _follow_single_files(known: Mapping[str, File], found: Found, expected: dict[str, File]) -> None:
    """Add indexed files outside the folders of `found`, which patterns, lists and single files named earlier."""
    for file in known.values():
        if file.path in expected or file.path in found.files:
            continue
        left_out = file.path in found.other or found.is_skipped(file.path)
        if left_out or file.path in found.folders or _is_deleted(file.path, found.trust_missing):
            expected[file.path] = file
        elif os.path.isfile(file.path):  # from a list on standard input, which cannot be read again
            found.add(file.path)


def _is_deleted(path: str, trust_missing: bool) -> bool:
    """Is a file gone from a folder that exists? If the folder is missing, its drive may not be mounted."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return trust_missing or os.path.isdir(os.path.dirname(path))
    except OSError:  # cannot be accessed
        pass
    return False
