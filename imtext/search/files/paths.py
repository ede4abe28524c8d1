"""One way to read a file, wherever it is: on this machine, at a URL, or in a shard."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from imtext.errors import MissingExtraError
from imtext.search.files.remote import is_remote, read_remote
from imtext.search.files.shards import is_tar, member_state, open_whole, read_member, split, whole_state


@contextmanager
def _installed() -> Iterator[None]:
    """A missing package is one more reason why a file cannot be read."""
    try:
        yield
    except MissingExtraError as error:
        raise OSError(errno.ENOSYS, str(error)) from error


@_installed()
def read_bytes(path: str) -> bytes:
    """The content of a file.

    Raises:
        OSError: it cannot be read.
    """
    if (found := split(path)) is not None:
        return read_member(*found)
    return read_remote(path) if is_remote(path) else Path(path).read_bytes()


@_installed()
def picture_of(path: str) -> Path | bytes:
    """A file for `open_image`: its path, or its content if it is not a file of this machine.

    Raises:
        OSError: it is elsewhere and cannot be read.
    """
    return Path(path) if split(path) is None and not is_remote(path) else read_bytes(path)


@_installed()
def open_file(path: str) -> BinaryIO:
    """A file to read from.

    Raises:
        OSError: it cannot be read.
    """
    return open_whole(path) if split(path) is None else io.BytesIO(read_bytes(path))


@_installed()
def state_of(path: str) -> os.stat_result:
    """What `os.stat` says of a file, or what takes its place.

    Raises:
        OSError: it cannot be accessed.
    """
    return whole_state(path) if (found := split(path)) is None else member_state(*found)


@_installed()
def length_of(path: str, state: os.stat_result) -> int:
    """Bytes of a file whose state is known. Of a picture in a parquet file, the state says only the mean of all.

    Raises:
        OSError: it cannot be read.
    """
    found = split(path)
    return state.st_size if found is None or is_tar(found[0]) else len(read_member(*found))
