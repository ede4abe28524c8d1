"""Data sets of the `datasets` library, from parquet files or the hub."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from imtext.data.captions import CaptionedImages, Split, fingerprint
from imtext.data.reading.columns import SPLIT_NAMES, caption_columns, captions_of, require_column
from imtext.data.reading.files import file_mark
from imtext.data.splits import group_by_split
from imtext.preprocess import open_image

log = logging.getLogger(__name__)


def from_datasets(
    dataset: Mapping[str, Any], image_column: str, columns: Sequence[str] | None, source: str, target_size: int
) -> CaptionedImages:
    """Collect pictures and captions of all splits. If there are several splits, they are the official ones.

    Rows with the same picture are one image with more captions, in the split where it occurs first.

    Args:
        dataset: split name → `datasets.Dataset`.
        image_column: column of pictures.
        columns: columns of captions; None takes all with a typical name.
        source: name of the data set in messages.
        target_size: JPEGs may be decoded at this size or a little above.

    Raises:
        DataError: a column is missing.
    """
    import datasets

    parts: list[Any] = []
    captions: list[list[str]] = []
    names: list[str] = []
    splits: list[Split | None] = []
    positions: list[int] = []  # row of each image in the concatenated parts
    images: dict[str, int] = {}  # content of a picture → number of the image
    rows = 0
    for split, part in dataset.items():
        if split not in SPLIT_NAMES:
            log.warning("%s: data.split=official leaves out %r, which is none of %s", source, split, list(SPLIT_NAMES))
        require_column(image_column, part.column_names, source, "data.image_column")
        texts = caption_columns(part.column_names, columns, source)
        part = part.cast_column(image_column, datasets.Image(decode=False))
        for index, row in enumerate(part.select_columns([image_column, *texts])):
            mark = _content(row[image_column]) or f"nothing {split}/{index}"
            image = images.setdefault(mark, len(names))
            if image == len(names):
                captions.append([])
                names.append(f"{split}/{index}")
                splits.append(SPLIT_NAMES.get(split))
                positions.append(rows + index)
            captions[image] += captions_of(row, texts)
        rows += len(part)
        parts.append(part.select_columns([image_column]))
    everything = datasets.concatenate_datasets(parts) if parts else []

    def load(row: int) -> Image.Image:
        picture = everything[positions[row]][image_column]
        if picture is None:
            raise ValueError("no picture")
        return open_image(picture["bytes"] or Path(picture["path"]), target_size)

    official = group_by_split(splits) if len(parts) > 1 else None
    return CaptionedImages(source, captions, names, load, fingerprint([*images, json.dumps(captions)]), official)


def _content(picture: Mapping[str, Any] | None) -> str:
    """Identify a picture by a hash of its bytes, or by the path, size and time of its file."""
    if picture and picture["bytes"]:
        return hashlib.blake2b(picture["bytes"], digest_size=16).hexdigest()
    path = Path(picture["path"]) if picture and picture["path"] else None
    return file_mark(path) if path is not None and path.is_file() else ""
