"""The cache of decoded pictures. Training decodes each JPEG once, not once per epoch."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from rich.progress import track

from imtext.data.captions import CaptionedImages, fingerprint
from imtext.data.rows import CachedRows, only_writer, write_rows
from imtext.preprocess import Pixels, Preprocess

BLOCK = 256  # pictures decoded at a time


class CachedImages(CachedRows):
    """All pictures of a source at model size: rows of ``[image_size, image_size, 3]`` uint8."""

    @property
    def broken(self) -> dict[int, str]:
        """Row number → why the picture could not be read; its pixels are zero."""
        return {int(row): reason for row, reason in json.loads(_notes(self.path).read_text()).items()}


def cached_images(data: CaptionedImages, preprocess: Preprocess, folder: Path) -> CachedImages:
    """Open the cache of these pictures. Decode them first if there is no cache.

    The file name holds a fingerprint of the source and of the resizing, so a changed source gets a new file.

    Raises:
        DataError: there is too little disk space, or the folder cannot be written.
    """
    key = fingerprint([data.fingerprint, str(preprocess.image_size), preprocess.resize, preprocess.interpolation])
    path = folder / f"images-{key}.npy"
    with only_writer(path) as missing:
        if missing:
            _decode(data, preprocess, path)
    return CachedImages(path)


def _notes(path: Path) -> Path:
    """The file beside the array that lists broken pictures."""
    return path.with_suffix(".json")


def _decode(data: CaptionedImages, preprocess: Preprocess, path: Path) -> None:
    size = preprocess.image_size
    broken: dict[int, str] = {}

    def decode(row: int) -> Pixels:
        try:
            return preprocess.pixels(data.load_image(row))
        except Exception as error:  # noqa: BLE001  Pillow raises many kinds of errors for damaged files
            broken[row] = str(error) or type(error).__name__
            return np.zeros((size, size, 3), np.uint8)

    # Pillow releases the interpreter lock while decoding, so threads are enough.
    def blocks() -> Iterator[Pixels]:
        starts = range(0, len(data), BLOCK)
        for start in track(starts, description=f"Decoding {len(data):,} pictures", disable=len(data) < BLOCK):
            yield np.stack(list(pool.map(decode, range(start, min(start + BLOCK, len(data))))))
        # Written before the array is renamed, because the array's presence means that the cache is complete.
        _notes(path).write_text(json.dumps(dict(sorted(broken.items()))))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        write_rows(path, (len(data), size, size, 3), np.uint8, blocks())
