"""One way to read a file, wherever it is: on this machine, at a URL, or in a shard."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import BinaryIO

from imtext.search.files.remote import is_remote, read_remote
from imtext.search.files.shards import member_state, open_whole, read_member, split, whole_state


def read_bytes(path: str) -> bytes:
    """The content of a file.

    Raises:
        OSError: it cannot be read.
    """
    if (found := split(path)) is not None:
        return read_member(*found)
    return read_remote(path) if is_remote(path) else Path(path).read_bytes()


def picture_of(path: str) -> Path | bytes:
    """A file for `open_image`: its path, or its content if it is not a file of this machine.

    Raises:
        OSError: it is elsewhere and cannot be read.
    """
    return Path(path) if split(path) is None and not is_remote(path) else read_bytes(path)


def open_file(path: str) -> BinaryIO:
    """A file to read from.

    Raises:
        OSError: it cannot be read.
    """
    return open_whole(path) if split(path) is None else io.BytesIO(read_bytes(path))


def state_of(path: str) -> os.stat_result:
    """What `os.stat` says of a file, or what takes its place.

    Raises:
        OSError: it cannot be accessed.
    """
    return whole_state(path) if (found := split(path)) is None else member_state(*found)
