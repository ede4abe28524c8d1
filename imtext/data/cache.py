"""Arrays on disk that are made once: decoded pictures, so that training reads JPEG once and never again."""

from __future__ import annotations

import json
import logging
import math
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from filelock import FileLock, Timeout
from rich.progress import track

from imtext.data.captions import CaptionedImages, fingerprint
from imtext.errors import DataError
from imtext.preprocess import Pixels, Preprocess

log = logging.getLogger(__name__)


class CachedRows:
    """An array on disk, of which single rows are read.

    Rows are read and not mapped: around each row that is touched the system would map far more of the file, all of
    which counts as this process's memory. What was read before still comes from the system's cache, as fast.

    Args:
        path: of an array ``[N, …]``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        mapped = np.load(path, mmap_mode="r")  # for what its header says; nothing else is read
        self.shape, self.dtype, self._offset = mapped.shape, mapped.dtype, mapped.offset

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, row: int) -> npt.NDArray[Any]:
        """One row, ``[…]``."""
        size = math.prod(self.shape[1:])
        at = self._offset + range(len(self))[row] * size * self.dtype.itemsize
        return np.fromfile(self.path, self.dtype, size, offset=at).reshape(self.shape[1:])


class CachedImages(CachedRows):
    """All pictures of a source at model size: rows of ``[image_size, image_size, 3]`` uint8."""

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
    with only_writer(path) as missing:
        if missing:
            _decode(data, preprocess, path)
    return CachedImages(path)


def _notes(path: Path) -> Path:
    return path.with_suffix(".json")


@contextmanager
def only_writer(path: Path) -> Iterator[bool]:
    """Hold the lock beside `path` while it is missing, and say whether it is.

    A second process waits for the first, then finds the file. The system frees the lock when its holder dies.

    Raises:
        DataError: the folder cannot be written.
    """
    if path.exists():
        yield False
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_suffix(".lock"))
        try:
            lock.acquire(timeout=1)
        except Timeout:
            log.info("Another process is making %s; waiting for it.", path.name)
            lock.acquire()
    except OSError as error:
        raise DataError(
            f"Cannot write the cache to {path.parent}: {error}. Choose another folder with paths.cache_dir=…"
        ) from error
    try:
        yield not path.exists()
    finally:
        lock.release()


def write_rows(path: Path, shape: Sequence[int], dtype: npt.DTypeLike, blocks: Iterable[npt.NDArray[Any]]) -> None:
    """Write an array block by block, so that the memory in use does not grow with it.

    It is written under another name and renamed when complete: a killed writer leaves nothing that could be mistaken
    for an array.

    Args:
        path: of the array.
        shape: of the whole.
        dtype: of its elements.
        blocks: ``[n, …]``, together all its rows.

    Raises:
        DataError: too little disk space.
    """
    needed, free = math.prod(shape) * np.dtype(dtype).itemsize, shutil.disk_usage(path.parent).free
    if needed > free * 0.95:
        raise DataError(
            f"The cache {path.name} needs {needed / 1e9:.1f} GB in {path.parent}, which has {free / 1e9:.1f} GB left. "
            "Choose another folder with paths.cache_dir=…, a smaller data.image_size, or stages with fewer views."
        )
    partial = path.with_suffix(".partial")
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": tuple(shape)}
    try:
        with partial.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for block in blocks:
                file.write(np.ascontiguousarray(block, dtype).data)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _decode(data: CaptionedImages, preprocess: Preprocess, path: Path) -> None:
    size = preprocess.image_size
    broken: dict[int, str] = {}

    def decode(row: int) -> Pixels:
        try:
            return preprocess.pixels(data.load_image(row))
        except Exception as error:  # noqa: BLE001  damaged files find ever new ways to fail in Pillow
            broken[row] = str(error) or type(error).__name__
            return np.zeros((size, size, 3), np.uint8)

    # Pillow lets go of the interpreter lock while it decodes, so threads are enough. Pictures are handed
    # out block by block: the memory in use does not grow with the data set.
    def blocks() -> Iterator[Pixels]:
        starts = range(0, len(data), 256)
        for start in track(starts, description=f"Decoding {len(data):,} pictures", disable=len(data) < 256):
            yield np.stack(list(pool.map(decode, range(start, min(start + 256, len(data))))))
        # Before the array, whose presence says that all is there.
        _notes(path).write_text(json.dumps(dict(sorted(broken.items()))))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        write_rows(path, (len(data), size, size, 3), np.uint8, blocks())
