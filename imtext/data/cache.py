"""Decoded pictures on disk, so that training reads JPEG once and never again."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
from filelock import FileLock, Timeout
from rich.progress import track

from imtext.data.captions import CaptionedImages, fingerprint
from imtext.errors import DataError
from imtext.preprocess import Pixels, Preprocess

log = logging.getLogger(__name__)


class CachedImages:
    """All pictures of a source at model size, memory-mapped and read-only.

    Sent to another process, it sends its path and not its pictures.

    Args:
        path: array of ``[N, image_size, image_size, 3]`` uint8.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.pixels: npt.NDArray[np.uint8] = np.load(path, mmap_mode="r")

    def __getitem__(self, row: int) -> Pixels:
        """A copy of one picture, ``[image_size, image_size, 3]`` uint8."""
        return np.array(self.pixels[row])

    def __reduce__(self) -> tuple[type[CachedImages], tuple[Path]]:
        return CachedImages, (self.path,)

    @property
    def broken(self) -> dict[int, str]:
        """Row number → why the picture could not be read; its pixels are zero."""
        return {int(row): reason for row, reason in json.loads(_notes(self.path).read_text()).items()}


def cached_images(data: CaptionedImages, preprocess: Preprocess, folder: Path) -> CachedImages:
    """Open the cache of these pictures, decoding them first if there is none yet.

    The file's name holds the fingerprint of the source and of the preprocessing, so a changed source
    is a new file. It is written under another name and renamed when complete, so a killed writer
    leaves nothing that could be mistaken for a cache; a second process waits for the first.

    Raises:
        DataError: too little disk space, or a folder that cannot be written.
    """
    key = fingerprint([data.fingerprint, str(preprocess.image_size), preprocess.resize])
    path = folder / f"images-{key}.npy"
    if not path.exists():
        with _only_writer(path):
            if not path.exists():
                _write(data, preprocess, path)
    return CachedImages(path)


def _notes(path: Path) -> Path:
    return path.with_suffix(".json")


@contextmanager
def _only_writer(path: Path) -> Iterator[None]:
    """Hold the lock beside `path`; the system frees it when its holder dies."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_suffix(".lock"))
        try:
            lock.acquire(timeout=1)
        except Timeout:
            log.info("Another process is decoding the same pictures; waiting for it.")
            lock.acquire()
    except OSError as error:
        raise DataError(
            f"Cannot write the image cache to {path.parent}: {error}. Choose another folder with paths.cache_dir=…"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _write(data: CaptionedImages, preprocess: Preprocess, path: Path) -> None:
    size = preprocess.image_size
    needed, free = len(data) * size * size * 3, shutil.disk_usage(path.parent).free
    if needed > free * 0.95:
        raise DataError(
            f"The image cache needs {needed / 1e9:.1f} GB in {path.parent}, which has {free / 1e9:.1f} GB left. "
            "Choose another folder with paths.cache_dir=… or a smaller data.image_size."
        )
    partial = path.with_suffix(".partial")
    pixels = np.lib.format.open_memmap(partial, mode="w+", dtype=np.uint8, shape=(len(data), size, size, 3))
    broken: dict[int, str] = {}

    def decode(row: int) -> None:
        try:
            pixels[row] = preprocess.pixels(data.load_image(row))
        except Exception as error:  # noqa: BLE001  damaged files find ever new ways to fail in Pillow
            broken[row] = str(error) or type(error).__name__

    # Pillow lets go of the interpreter lock while it decodes, so threads are enough. Pictures are handed
    # out block by block: the memory in use does not grow with the data set.
    try:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            blocks = range(0, len(data), 256)
            for start in track(blocks, description=f"Decoding {len(data):,} pictures", disable=len(data) < 256):
                list(pool.map(decode, range(start, min(start + 256, len(data)))))
        pixels.flush()
    except BaseException:
        partial.unlink()
        raise
    _notes(path).write_text(json.dumps(dict(sorted(broken.items()))))
    partial.replace(path)
