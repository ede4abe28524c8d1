"""Pictures in files, named by the rows of a table."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from imtext.data.captions import CaptionedImages, Split, fingerprint
from imtext.data.splits import group_by_split
from imtext.errors import DataError
from imtext.preprocess import open_image


def from_files(
    rows: Iterable[tuple[str, list[str], Split | None]], image_root: Path, source: str, target_size: int
) -> CaptionedImages:
    """Collect pictures and captions. Rows that name the same picture are one image with more captions.

    Args:
        rows: for each row the picture's path (absolute or below `image_root`), its captions, and its split if known.
        image_root: folder that relative paths start from.
        source: name of the table in messages.
        target_size: JPEGs may be decoded at this size or a little above.

    Raises:
        DataError: pictures are missing, or a picture is in two splits.
    """
    captions: dict[str, list[str]] = {}
    split_of: dict[str, Split | None] = {}
    for name, texts, split in rows:
        captions.setdefault(name, []).extend(texts)
        if split_of.setdefault(name, split) != split:
            raise DataError(f"{name} in {source} is in two splits, {split_of[name]} and {split}")
    names = list(captions)
    paths = [image_root / name for name in names]
    missing = [name for name, path in zip(names, paths, strict=True) if not path.is_file()]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(names)} pictures named in {source} do not exist below {image_root.absolute()}: "
            f"{', '.join(missing[:3])}{' …' if len(missing) > 3 else ''}. Give their folder with data.image_root=…"
        )

    def load(row: int) -> Image.Image:
        return open_image(paths[row], target_size)

    marks = [file_mark(path) for path in paths]
    texts_of = [captions[name] for name in names]
    official = group_by_split([split_of[name] for name in names]) if any(split_of.values()) else None
    key = fingerprint([*marks, json.dumps(texts_of)])
    return CaptionedImages(source, texts_of, names, load, key, official)


def file_mark(path: Path) -> str:
    """Path, size and modification time of a file; a changed file has a different mark."""
    stat = path.stat()
    return f"{path.absolute()} {stat.st_size} {stat.st_mtime_ns}"
