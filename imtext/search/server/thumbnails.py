"""Small JPEGs of pictures. The most recently used ones are kept in memory."""

from __future__ import annotations

import io
import threading
from pathlib import Path

from cachetools import LRUCache

from imtext.preprocess import open_image

CACHE_BYTES = 64_000_000


class Thumbnails:
    """Makes thumbnails and keeps the most recently used ones. Safe to use from several threads.

    Args:
        max_bytes: maximum size of all thumbnails in memory together.
    """

    def __init__(self, max_bytes: int = CACHE_BYTES) -> None:
        self._cache: LRUCache[tuple[str, int], bytes] = LRUCache(max_bytes, getsizeof=len)
        self._lock = threading.Lock()

    def get(self, id: str, size: int) -> bytes | None:
        """The thumbnail of a picture if it is in memory."""
        with self._lock:
            return self._cache.get((id, size))

    def make(self, id: str, source: Path | bytes, size: int) -> bytes:
        """Read a picture and make its thumbnail, at most `size` pixels wide and high.

        Raises:
            ValueError: the file cannot be read as a picture.
        """
        image = open_image(source, size)
        image.thumbnail((size, size), reducing_gap=2.0)
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=82)
        content = buffer.getvalue()
        with self._lock:
            if len(content) <= self._cache.maxsize:
                self._cache[id, size] = content
        return content
