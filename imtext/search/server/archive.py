"""A ZIP of pictures that is sent while it is made: nothing is kept in memory or on disk, and its length is known."""

from __future__ import annotations

import io
import stat
import time
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from imtext.search.files import open_file

CHUNK = 256 * 1024  # bytes
# Bytes of each entry beside its content and its name: header, sizes behind the content, entry of the directory.
OVERHEAD, END = 30 + 16 + 46, 22
RESERVED = frozenset('<>:"/\\|?*')  # what some systems do not allow in names


@dataclass(frozen=True)
class Member:
    """A file that goes into the archive.

    Attributes:
        path: where it is.
        size: in bytes.
        mtime: seconds since 1970 of its last change.
    """

    path: str
    size: int
    mtime: float


def archive_size(members: Sequence[Member]) -> int:
    """The length of `archive` in bytes."""
    names = sum(2 * len(name.encode()) for name in safe_names(members))
    return names + sum(member.size + OVERHEAD for member in members) + END


def archive(members: Sequence[Member]) -> Iterator[bytes]:
    """The archive in parts. Pictures are compressed already, so they are stored as they are.

    Raises:
        OSError: a file is gone or has another size now. The receiver sees an incomplete download.
    """
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w") as made:
        for member, name in zip(members, safe_names(members), strict=True):
            left = member.size
            with open_file(member.path) as file, made.open(_entry(member, name), "w") as entry:
                while part := file.read(min(CHUNK, left + 1)):
                    left -= len(part)
                    if left < 0:
                        break
                    entry.write(part)
                    yield pipe.take()
            if left:
                raise OSError(f"{member.path} changed while it was sent")
    yield pipe.take()


def _entry(member: Member, name: str) -> zipfile.ZipInfo:
    moment = time.localtime(max(member.mtime, 0))[:6]
    entry = zipfile.ZipInfo(name, min(max(moment, (1980, 1, 1, 0, 0, 0)), (2107, 12, 31, 23, 59, 58)))
    entry.external_attr = (stat.S_IFREG | 0o644) << 16
    return entry


def safe_names(members: Sequence[Member]) -> list[str]:
    """A name for each file: without folders and what other systems refuse, and each only once, in any case."""
    taken: set[str] = set()
    names = []
    for member in members:
        kept = "".join("_" if char in RESERVED or not char.isprintable() else char for char in Path(member.path).name)
        name = kept.encode("utf-8", "replace").decode().strip(". ") or "picture"
        path, number = Path(name), 1
        while name.casefold() in taken:
            number += 1
            name = f"{path.stem} ({number}){path.suffix}"
        taken.add(name.casefold())
        names.append(name)
    return names


class _Pipe(io.RawIOBase):
    """Collects what is written until it is taken; it cannot seek, so sizes follow behind each file."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, part: bytes) -> int:  # type: ignore[override]
        self._parts.append(bytes(part))
        return len(part)

    def take(self) -> bytes:
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken
