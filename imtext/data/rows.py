"""Arrays on disk that are written once and read row by row."""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from filelock import FileLock, Timeout

from imtext.errors import DataError

log = logging.getLogger(__name__)


class CachedRows:
    """An array on disk, read one row at a time.

    Rows are read, not memory-mapped. A memory map would load much more of the file around each row, and all of it would
    count as memory of this process. Repeated reads come from the system's file cache, which is just as fast.

    Args:
        path: path of an array ``[N, …]``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        mapped = np.load(path, mmap_mode="r")  # reads only the header
        self.shape, self.dtype, self._offset = mapped.shape, mapped.dtype, mapped.offset

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, row: int) -> npt.NDArray[Any]:
        """One row, ``[…]``."""
        size = math.prod(self.shape[1:])
        start = self._offset + range(len(self))[row] * size * self.dtype.itemsize
        return np.fromfile(self.path, self.dtype, size, offset=start).reshape(self.shape[1:])


@contextmanager
def only_writer(path: Path) -> Iterator[bool]:
    """Ensure that only one process writes `path`; yields True if it must be written.

    A second process waits for the first and then finds the file. The system releases the lock if its holder dies.

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
            log.info("Another process is writing %s; waiting for it.", path.name)
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
    """Write an array block by block, so that memory use does not grow with its size.

    The array is written to a temporary file that is renamed when complete, so an interrupted writer never leaves a
    file that looks like an array.

    Args:
        path: path of the array.
        shape: shape of the whole array.
        dtype: type of its elements.
        blocks: blocks ``[n, …]`` that together hold all rows.

    Raises:
        DataError: there is too little disk space.
    """
    needed, free = math.prod(shape) * np.dtype(dtype).itemsize, shutil.disk_usage(path.parent).free
    if needed > free * 0.95:
        raise DataError(
            f"The cache {path.name} needs {needed / 1e9:.1f} GB in {path.parent}, which has {free / 1e9:.1f} GB free. "
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
