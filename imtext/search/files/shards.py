"""Pictures in shards: tar files, and parquet files with a column of pictures.

A picture in a shard has the path of the shard, as if that were a folder: ``shards/0001.tar/000123.jpg``, and by row
``photos.parquet/17``. It is unchanged as long as its shard is.
"""

from __future__ import annotations

import bisect
import os
import re
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any, BinaryIO

from imtext.errors import needs
from imtext.search.files.remote import is_remote, open_remote, remote_state

_SHARD = re.compile(r"\.(?:tar|parquet)$", re.IGNORECASE)
_INSIDE = re.compile(r"\.(?:tar|parquet)(?=/.)", re.IGNORECASE | re.DOTALL)
_reading = threading.Lock()  # so that several threads do not read the same rows

Stamp = tuple[int, int, int]  # what tells one version of a shard from another


def is_shard(path: str) -> bool:
    """Is this the name of a shard?"""
    return bool(_SHARD.search(path)) and (is_remote(path) or not os.path.isdir(path))


def split(path: str) -> tuple[str, str] | None:
    """The shard that a path leads into, and the name of the picture in it; None for any other path."""
    for found in _INSIDE.finditer(path):  # the first may be a folder with such a name
        shard, name = path[: found.end()], path[found.end() + 1 :]
        if is_remote(path) or os.path.isfile(shard):
            return shard, name
    return None


def is_tar(shard: str) -> bool:
    """Is this shard a tar file, and no table?"""
    return shard.lower().endswith(".tar")


def open_whole(path: str) -> BinaryIO:
    """A file that is in no shard."""
    return open_remote(path) if is_remote(path) else Path(path).open("rb")


def whole_state(path: str) -> os.stat_result:
    """The state of a file that is in no shard."""
    return remote_state(path) if is_remote(path) else os.stat(path)


def members(shard: str) -> dict[str, os.stat_result]:
    """Path → state of all files in a tar file, or of all rows of a parquet file.

    Raises:
        OSError: the shard cannot be read.
        MissingExtraError: the package that reads parquet is not installed.
    """
    state = whole_state(shard)
    sizes = _sizes(shard, _stamp(state))
    return {f"{shard}/{name}": _member(state, size) for name, size in sizes.items()}


def member_state(shard: str, name: str) -> os.stat_result:
    """The state of one picture.

    Raises:
        OSError: there is none.
    """
    state = whole_state(shard)
    sizes = _sizes(shard, _stamp(state))
    if name not in sizes:
        raise FileNotFoundError(2, f"not in {shard}")
    return _member(state, sizes[name])


def read_member(shard: str, name: str) -> bytes:
    """The content of one picture.

    Raises:
        OSError: it cannot be read.
    """
    stamp = _stamp(whole_state(shard))
    try:
        if not is_tar(shard):
            return _row(shard, stamp, int(name))
        start, size = _tar(shard, stamp)[name]
    except (KeyError, ValueError, IndexError) as error:
        raise FileNotFoundError(2, f"not in {shard}") from error
    with open_whole(shard) as file:
        file.seek(start)
        return file.read(size)


def _stamp(state: os.stat_result) -> Stamp:
    return state.st_size, state.st_mtime_ns, state.st_ino


def _member(shard: os.stat_result, size: int) -> os.stat_result:
    times = {"st_mtime_ns": shard.st_mtime_ns, "st_ctime_ns": shard.st_ctime_ns}
    return os.stat_result((*shard[:6], size, *shard[7:10]), times)


def _sizes(shard: str, stamp: Stamp) -> Mapping[str, int]:
    if is_tar(shard):
        return {name: size for name, (_, size) in _tar(shard, stamp).items()}
    _, ends = _parquet(shard, stamp)
    mean = stamp[0] // max(ends[-1], 1)  # their sizes are known only when they are read
    return {str(row): mean for row in range(ends[-1])}


@lru_cache(maxsize=16)
def _tar(shard: str, stamp: Stamp) -> Mapping[str, tuple[int, int]]:
    """Name → where its content begins, and how long it is."""
    try:
        with open_whole(shard) as file, tarfile.open(fileobj=file, mode="r:") as archive:
            return {one.name: (one.offset_data, one.size) for one in archive if one.isfile()}
    except tarfile.TarError as error:
        raise OSError(22, f"not a tar file, or compressed as a whole: {error}") from error


@lru_cache(maxsize=16)
def _parquet(shard: str, stamp: Stamp) -> tuple[str, list[int]]:
    """The column of pictures, and the number of rows up to the end of each group of rows."""
    with needs("ray"):
        import pyarrow as pa
        from pyarrow import parquet
    with _errors("not a parquet file"), open_whole(shard) as file:
        opened = parquet.ParquetFile(file)
        schema, about = opened.schema_arrow, opened.metadata
    columns = [one.name for one in schema if _holds_pictures(pa, one.type)]
    if not columns:
        raise OSError(22, f"no column of pictures among {', '.join(schema.names)}")
    column = "image" if "image" in columns else columns[0]
    return column, list(accumulate((about.row_group(at).num_rows for at in range(about.num_row_groups)), initial=0))


@contextmanager
def _errors(what: str) -> Iterator[None]:
    """Turn the errors of Arrow, some of which are a `ValueError` or a `KeyError`, into an `OSError`."""
    import pyarrow as pa

    try:
        yield
    except pa.ArrowException as error:
        raise OSError(22, f"{what}: {error}") from error


def _holds_pictures(pa: Any, kind: Any) -> bool:
    """Bytes, or bytes beside a path as data sets of Hugging Face have them."""
    if pa.types.is_struct(kind):
        return any(kind.field(at).name == "bytes" for at in range(kind.num_fields))
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _row(shard: str, stamp: Stamp, row: int) -> bytes:
    column, ends = _parquet(shard, stamp)
    if not 0 <= row < ends[-1]:
        raise IndexError(row)
    group = bisect.bisect_right(ends, row) - 1
    with _reading:
        value = _group(shard, stamp, column, group)[row - ends[group]].as_py()
    content = value["bytes"] if isinstance(value, dict) else value
    return content or b""


@lru_cache(maxsize=2)
def _group(shard: str, stamp: Stamp, column: str, group: int) -> Any:
    """A group of rows; neighbours are read together."""
    from pyarrow import parquet

    with _errors("a damaged parquet file"), open_whole(shard) as file:
        return parquet.ParquetFile(file).read_row_group(group, columns=[column]).column(0).combine_chunks()
