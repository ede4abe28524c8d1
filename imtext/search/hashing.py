"""A perceptual hash of a picture: its copies of other sizes and qualities have nearly the same one.

The hash is the signs of the 128 lowest frequencies of the picture, reduced to 32 × 32 shades of grey. It follows the
DCT hash of Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions (2010), which has 64 bits and
compares with the median; twice the bits tell more photos apart, and the sign of a frequency needs no median.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import numpy.typing as npt
from PIL import Image

SIDE = 32  # pixels
BITS = 128
CLEAR = 96  # frequencies of at least one shade that a picture needs: the signs of others are those of rounding errors
ROWS, COLUMNS = 64, 4096  # pairs that are compared at once, so that they fit in the processor's cache

Hashes = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]


def _lowest() -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Rows and columns of the lowest frequencies without the mean, by the sum of both."""
    frequencies = sorted((row + column, row, column) for row in range(SIDE) for column in range(SIDE))[1 : BITS + 1]
    return np.array([row for _, row, _ in frequencies]), np.array([column for *_, column in frequencies])


def _cosines() -> npt.NDArray[np.float32]:
    """The orthonormal DCT-II of `SIDE` numbers as a matrix."""
    frequency, place = np.ogrid[:SIDE, :SIDE]
    matrix: npt.NDArray[np.float64] = np.sqrt(2 / SIDE) * np.cos(np.pi * frequency * (2 * place + 1) / (2 * SIDE))
    matrix[0] /= np.sqrt(2)
    return matrix.astype(np.float32)


LOWEST, COSINES = _lowest(), _cosines()


def hash_picture(image: Image.Image) -> bytes:
    """The hash of a picture, `BITS` / 8 bytes; empty for one that is too plain to be told from others, such as a logo.

    Args:
        image: upright, in RGB.
    """
    small = image.resize((SIDE, SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0).convert("L")
    values = (COSINES @ np.asarray(small, dtype=np.float32) @ COSINES.T)[LOWEST]
    return np.packbits(values > 0).tobytes() if np.count_nonzero(abs(values) >= 1) >= CLEAR else b""


def to_words(hashes: Sequence[bytes]) -> Hashes:
    """``N`` hashes → ``[2, N]``, two numbers of 64 bits each."""
    return np.ascontiguousarray(np.frombuffer(b"".join(hashes), np.uint64).reshape(-1, BITS // 64).T)


def distances(rows: Hashes, columns: Hashes) -> npt.NDArray[np.uint8]:
    """``[2, R]`` and ``[2, C]`` → ``[R, C]``, the number of bits in which two hashes differ (Hamming distance)."""
    total = np.zeros((rows.shape[1], columns.shape[1]), dtype=np.uint8)
    for row, column in zip(rows, columns, strict=True):
        total += np.bitwise_count(row[:, None] ^ column)
    return total


def close_pairs(hashes: Hashes, distance: int) -> Iterator[tuple[Places, Places]]:
    """All pairs of ``[2, N]`` hashes that differ in at most `distance` bits.

    Every pair is compared: for 100,000 hashes this takes seconds.

    Yields:
        In blocks: the first and the second place of each pair, in the order of the first place, which is the lower one.
    """
    count = hashes.shape[1]

    def compare(top: int, left: int) -> tuple[Places, Places]:
        rows, columns = hashes[:, top : top + ROWS], hashes[:, left : left + COLUMNS]
        # The first half of the bits rules out nearly all pairs.
        half = np.bitwise_count(rows[0][:, None] ^ columns[0])
        row, column = np.divmod(np.flatnonzero(half <= distance), columns.shape[1])
        bits = half[row, column] + np.bitwise_count(rows[1][row] ^ columns[1][column])
        close = (bits <= distance) & (row + top < column + left)
        return row[close] + top, column[close] + left

    with ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="compare") as pool:
        for top in range(0, count, ROWS):
            run = map if count - top <= COLUMNS else pool.map  # threads are not worth it for a search
            found = list(run(partial(compare, top), range(top, count, COLUMNS)))
            first, second = (np.concatenate(places) for places in zip(*found, strict=True))
            order = np.argsort(first, kind="stable")
            yield first[order], second[order]
