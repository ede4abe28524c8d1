"""Pictures in files, named by the rows of a table."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from imtext.data.captions import CaptionedImages, Split, fingerprint
from imtext.data.reading.pictures import find_pictures
from imtext.data.splits import group_by_split
from imtext.errors import DataError
from imtext.preprocess import open_image


def from_files(
    rows: Iterable[tuple[str, list[str], Split | None]], image_root: Path, source: str, target_size: int
) -> CaptionedImages:
    """Collect pictures and captions. Rows that name the same picture are one image with more captions.

    Args:
        rows: for each row the picture's path (absolute or below `image_root`; see `find_pictures`), its captions, and
            its split if known.
        image_root: folder that relative paths start from.
        source: name of the table in messages.
        target_size: JPEGs may be decoded at this size or a little above.

    Raises:
        DataError: pictures are missing, several files fit a name, or a picture is in two splits.
    """
    rows = list(rows)
    found = find_pictures((name for name, _, _ in rows), image_root, source, "data.image_root=…")
    captions: dict[Path, list[str]] = {}
    split_of: dict[Path, Split | None] = {}
    name_of: dict[Path, str] = {}
    for name, texts, split in rows:
        path = found[name]
        captions.setdefault(path, []).extend(texts)
        name_of.setdefault(path, name)
        if split_of.setdefault(path, split) != split:
            raise DataError(f"{name} in {source} is in two splits, {split_of[path]} and {split}")
    paths = list(captions)

    def load(row: int) -> Image.Image:
        return open_image(paths[row], target_size)

    marks = [file_mark(path) for path in paths]
    texts_of = list(captions.values())
    official = group_by_split(list(split_of.values())) if any(split_of.values()) else None
    key = fingerprint([*marks, json.dumps(texts_of)])
    return CaptionedImages(source, texts_of, list(name_of.values()), load, key, official)


def file_mark(path: Path) -> str:
    """Path, size and modification time of a file; a changed file has a different mark."""
    stat = path.stat()
    return f"{path.absolute()} {stat.st_size} {stat.st_mtime_ns}"
