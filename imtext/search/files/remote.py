"""Files of object stores and other machines, by URL with fsspec.

A path is remote if it is a URL, such as ``s3://bucket/photos/a.jpg``. Credentials and endpoints are those of fsspec's
file systems: `AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL` and so on for S3.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, BinaryIO

from imtext.errors import needs

TIMES = ("LastModified", "last_modified", "mtime", "updated", "created")  # names that file systems give to them
TAGS = ("ETag", "etag", "md5Hash", "checksum", "Last-Modified")
LARGEST = 2**63 - 1


def is_remote(path: str) -> bool:
    """Is this the URL of a file or a folder? Paths of this machine are absolute, so none of them looks like one."""
    return "://" in path


def read_remote(url: str) -> bytes:
    """The content of a file.

    Raises:
        OSError: it cannot be read.
    """
    with _file_system(url) as (files, name):
        content: bytes = files.cat_file(name)
        return content


def open_remote(url: str) -> BinaryIO:
    """A file to read parts of.

    Raises:
        OSError: it cannot be read.
    """
    with _file_system(url) as (files, name):
        opened: BinaryIO = files.open(name, "rb")
        return opened


def remote_state(url: str) -> os.stat_result:
    """What `os.stat` would say: the size, the time and, as the number of the file, one of its content (the ETag).

    Raises:
        OSError: it cannot be accessed.
    """
    with _file_system(url) as (files, name):
        return _state(files.info(name))


def list_files(url: str) -> dict[str, os.stat_result]:
    """All files below a URL, or the file that it names, in order of path.

    Raises:
        OSError: it cannot be listed.
    """
    with _file_system(url) as (files, name):
        files.invalidate_cache()
        found = files.find(name, detail=True)
        if not found:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        start = len(name.rstrip("/"))
        return {url.rstrip("/") + path[start:]: _listed(files, path, found[path]) for path in sorted(found)}


@contextmanager
def _file_system(url: str) -> Iterator[tuple[Any, str]]:
    """The file system of a URL, and the name of the file in it; its errors become `OSError`."""
    scheme = url.partition("://")[0]
    with needs("remote"):
        import fsspec
    try:
        yield fsspec.core.url_to_fs(url)
    except OSError:
        raise
    except ImportError as error:
        reason = f'nothing is installed that reads {scheme}:// (s3 and http: pip install "imtext[remote]")'
        raise OSError(errno.ENOSYS, reason) from error
    except Exception as error:  # of clients of object stores: no credentials, no connection, an unknown scheme
        raise OSError(errno.EIO, " ".join(str(error).split()) or type(error).__name__) from error


def _listed(files: Any, path: str, info: Mapping[str, Any]) -> os.stat_result:
    """The state that `remote_state` gives, too: pages of web servers list names only, so that each file is asked."""
    if info.get("size") is None:
        with suppress(FileNotFoundError):  # a dead link; reading it will say so
            info = files.info(path)
    return _state(info)


def _state(info: Mapping[str, Any]) -> os.stat_result:
    """The facts that `File.found` records. The ETag takes the place of the number of the file on its drive."""
    time = next((info[key] for key in TIMES if info.get(key)), 0)
    if isinstance(time, str):
        time = datetime.fromisoformat(time)
    if isinstance(time, datetime):
        time = (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    tag = next((str(info[key]) for key in TAGS if info.get(key)), "")
    number = int.from_bytes(hashlib.blake2b(tag.encode(), digest_size=8).digest()) & LARGEST
    nanoseconds = int(time) * 10**9  # an answer about one file has whole seconds where a listing may have more
    mode = stat.S_IFREG if info.get("type") == "file" else stat.S_IFDIR
    fields = (mode, number, 0, 1, 0, 0, int(info.get("size") or 0), int(time), int(time), int(time))
    # A time of change of zero means that it is unknown, and that the number is not compared.
    return os.stat_result(fields, {"st_mtime_ns": nanoseconds, "st_ctime_ns": nanoseconds or 1})
