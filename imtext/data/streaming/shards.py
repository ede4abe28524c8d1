"""Shards: the tar files that a pattern, a folder or addresses name, and how they are opened."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from imtext.data.captions import HINT
from imtext.data.reading.files import file_mark
from imtext.errors import DataError, MissingExtraError, install_command, needs

SUFFIXES = (".tar", ".tar.gz", ".tgz")


def find_shards(path: str | Sequence[str], setting: str = "data.path") -> list[str]:
    """All shards that `path` names, each once, in its order.

    Args:
        path: a file, a folder, a pattern (``shards/{00000..00099}.tar``, ``shards/*.tar``), an address
            (``https://…``, ``s3://…``; patterns, too), or a list of these.
        setting: where users have given it, for messages.

    Raises:
        DataError: there are no shards, or some named ones do not exist.
        MissingExtraError: a remote address needs a package that is not installed.
    """
    with needs("webdataset"):
        from braceexpand import braceexpand
    found: dict[str, None] = {}
    for pattern in [path] if isinstance(path, str) else path:
        try:
            names = list(braceexpand(str(pattern)))
        except ValueError as error:
            raise DataError(f"{setting}={pattern}: {error}") from error
        shards = [shard for name in names for shard in (_remote(name) if is_remote(name) else _local(name))]
        missing = [shard for shard in shards if not is_remote(shard) and not Path(shard).is_file()]
        if missing:
            raise DataError(
                f"{setting}={pattern}: {len(missing):,} of {len(shards):,} shards do not exist, such as {missing[0]}"
            )
        if not shards:
            raise DataError(f"{setting}={pattern}: there are no shards (.tar). {HINT}")
        found |= dict.fromkeys(shards)
    return list(found)


def are_shards(path: str | Sequence[str]) -> bool:
    """Whether a path names tar files, and not a captions file or a folder of parquet files."""
    if not isinstance(path, str) or is_remote(path):
        return True
    return path.endswith(SUFFIXES) or (Path(path).expanduser().is_dir() and bool(_local(path)))


def is_remote(name: str) -> bool:
    """Whether a name is an address that is read through fsspec."""
    return "://" in name


def mark(shard: str) -> str:
    """Identifies the content of a shard, however it is named: path, size and time of a file, or a remote address."""
    path = Path(shard.removeprefix("file://"))
    return shard if is_remote(str(path)) or not path.is_file() else file_mark(path.resolve())


def open_shard(shard: str) -> IO[bytes]:
    """Open a shard for reading from its beginning.

    Raises:
        OSError: it does not exist or cannot be read; other kinds of errors come from fsspec's file systems.
    """
    if not is_remote(shard):
        return Path(shard).open("rb")
    system, path = file_system(shard)
    opened: IO[bytes] = system.open(path, "rb", block_size=2**23, cache_type="readahead")
    return opened


def length_of(file: IO[bytes]) -> int:
    """Bytes of an open shard; 0 if its server does not tell."""
    return (file.size or 0) if hasattr(file, "size") else os.fstat(file.fileno()).st_size


def file_system(address: str) -> tuple[Any, str]:
    """The file system of an address, and the path in it.

    Raises:
        MissingExtraError: a package is missing.
        DataError: there is no such kind of address.
    """
    with needs("remote"):
        import fsspec
    try:
        system, path = fsspec.url_to_fs(address)
    except ImportError as error:  # such as s3fs, which fsspec imports when it is needed
        raise MissingExtraError(f"{address} needs more packages. Install them: {install_command('remote')}") from error
    except ValueError as error:
        raise DataError(f"{address}: {error}") from error
    return system, str(path)


def _local(name: str) -> list[str]:
    path = Path(name).expanduser()
    if path.is_dir():
        return sorted(str(file) for file in path.iterdir() if file.name.endswith(SUFFIXES))
    if glob.has_magic(name):
        return sorted(glob.glob(str(path)))  # noqa: PTH207  the pattern may start anywhere
    return [str(path)]


def _remote(name: str) -> list[str]:
    system, path = file_system(name)
    if "*" not in path:  # other characters of patterns also stand in signed addresses
        if path.partition("?")[0].endswith(SUFFIXES):
            return [name]
        path = f"{path.rstrip('/')}/*.tar"  # a folder
    try:
        return sorted(str(system.unstrip_protocol(found)) for found in system.glob(path))
    except Exception as error:  # every file system has errors of its own
        raise DataError(f"{name} cannot be listed: {reason_of(error)}") from error


def reason_of(error: BaseException) -> str:
    """One line about an error of a file system; a missing address is called so."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file (404)"
    said = str(error).partition(" @ <")[0]  # webdataset adds an object
    return " ".join(f"{type(error).__name__}: {said}".split())[:200]
