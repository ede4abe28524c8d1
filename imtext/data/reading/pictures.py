"""The picture files that a table names."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from imtext.errors import DataError

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
SHOWN = 3  # names in a message


def find_pictures(names: Iterable[str], root: Path, source: str, setting: str) -> dict[str, Path]:
    """Find the file of each name.

    A file of exactly this name is preferred. Otherwise the Unicode forms of names do not matter (`é` is one character
    or two, depending on the file system), nor blanks around them, and a name without the ending of a picture means the
    only picture with this stem.

    Args:
        names: paths as the table has them, absolute or below `root`.
        root: folder that relative paths start from.
        source: name of the table in messages.
        setting: how users choose `root`, for messages.

    Raises:
        DataError: pictures do not exist, or several files fit a name; the message names the first ones.
    """
    listing = cache(_list)  # each folder is read once, and only if a file is not found by its exact name
    names = list(dict.fromkeys(names))
    found: dict[str, list[Path]] = {}
    for name in names:
        path = root / name
        found[name] = [path] if os.path.isfile(path) else _similar(name, root, listing)  # noqa: PTH113  any string
    if missing := [name for name, paths in found.items() if not paths]:
        raise DataError(
            f"{len(missing):,} of {len(names):,} pictures named in {source} do not exist below {root.absolute()}: "
            f"{_some(missing)}. Give their folder with {setting}"
        )
    if several := [f"{name} ({_escaped(paths)})" for name, paths in found.items() if len(paths) > 1]:
        raise DataError(
            f"{len(several):,} of {len(names):,} pictures named in {source} could be several files: {_some(several)}. "
            "Write their names as the files have them, or rename the files"
        )
    return {name: paths[0] for name, paths in found.items()}


@dataclass
class _Listing:
    """The entries of a folder by their normalised names, and its pictures by their normalised stems."""

    names: dict[str, list[str]] = field(default_factory=dict)
    stems: dict[str, list[str]] = field(default_factory=dict)


def _list(folder: Path) -> _Listing:
    found = _Listing()
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208  only the names
    except OSError:  # not a folder, or one that may not be read
        names = []
    for name in names:
        found.names.setdefault(_normal(name), []).append(name)
        stem, suffix = os.path.splitext(name)  # noqa: PTH122  names are strings here
        if suffix.lower() in PICTURE_SUFFIXES:
            found.stems.setdefault(_normal(stem), []).append(name)
    return found


def _similar(name: str, root: Path, listing: Callable[[Path], _Listing]) -> list[Path]:
    """All files whose path is equal when normalised; if there are none, all pictures with this stem."""
    *parents, last = Path(name).parts or [""]
    folders = [root]
    for part in parents:
        if part in ("..", Path(name).anchor):
            folders = [folder / part for folder in folders]
        else:
            folders = [folder / entry for folder in folders for entry in listing(folder).names.get(_normal(part), ())]
    same = [folder / entry for folder in folders for entry in listing(folder).names.get(_normal(last), ())]
    if (files := [path for path in same if path.is_file()]) or Path(last).suffix.lower() in PICTURE_SUFFIXES:
        return files
    return [folder / entry for folder in folders for entry in listing(folder).stems.get(_normal(last), ())]


def _normal(name: str) -> str:
    return unicodedata.normalize("NFC", name.strip())


def _some(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (" …" if len(names) > SHOWN else "")


def _escaped(paths: list[Path]) -> str:
    """Names that differ in their Unicode form look the same, unless they are written in ASCII."""
    return ", ".join(path.name.encode("ascii", "backslashreplace").decode() for path in paths)
