"""Read, hash and decode files ahead in threads, while earlier files are embedded."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Generator, Sequence, Set
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

from imtext.preprocess import Pixels, Preprocess, open_image
from imtext.preprocess.formats import HEAD, install_hint, is_readable, sniff
from imtext.search.facts import Facts, read_facts
from imtext.search.files import read_bytes
from imtext.search.store.records import File, unread

MAX_BYTES = 500_000_000  # maximum size of a file
AHEAD = 64  # maximum number of files that are read ahead, to limit memory
NO_MEMORY = "too large for this machine's memory"

Known = Callable[[Sequence[bytes]], Set[bytes]]  # of contents, those that have a vector; see `Store.known`


@dataclass(frozen=True, slots=True)
class Prepared:
    """One file, ready to be recorded.

    Attributes:
        file: the file with its content's hash, or with the reason why it was refused.
        pixels: pixels to embed; None if the file was refused or its content is known.
        facts: facts of a picture to embed.
    """

    file: File
    pixels: Pixels | None = None
    facts: Facts | None = None


class Preparer:
    """Prepares the files of one update. Each content is returned for embedding only once.

    Args:
        known: knows which contents already have a vector.
        preprocess: preprocessing of the index's bundle.
        threads: number of files that are read and decoded at once; None: the number of cores.
    """

    def __init__(self, known: Known, preprocess: Preprocess, threads: int | None = None) -> None:
        self.known, self.preprocess, self.threads = known, preprocess, threads or os.cpu_count() or 1
        self._given_out: set[bytes] = set()  # contents whose pixels were returned in this update

    def prepare(self, files: Sequence[File]) -> Generator[Prepared, None, None]:
        """Prepare the files and return them in order."""
        with ThreadPoolExecutor(self.threads, thread_name_prefix="decode") as pool:
            ahead: deque[Future[Prepared]] = deque()
            rest = iter(files)
            try:
                while True:
                    while len(ahead) < AHEAD and (file := next(rest, None)) is not None:
                        ahead.append(pool.submit(self._prepare, file))
                    if not ahead:
                        return
                    yield self._once(ahead.popleft().result())
            finally:
                for future in ahead:
                    future.cancel()

    def _once(self, prepared: Prepared) -> Prepared:
        """Remove the pixels if the same content was returned before."""
        if prepared.pixels is None or prepared.file.content in self._given_out:
            return Prepared(prepared.file)
        self._given_out.add(prepared.file.content)
        return prepared

    def _prepare(self, file: File) -> Prepared:
        """Runs in a thread of the pool."""
        file, content = _read(file)
        # `_given_out` can be slightly out of date. Then the same content is decoded twice, and embedded once.
        if file.reason or file.content in self._given_out or self.known([file.content]):
            return Prepared(file)
        try:
            image = open_image(content, self.preprocess.image_size)
            return Prepared(file, self.preprocess.pixels(image), read_facts(content, image))
        except ValueError as error:
            if install_hint(kind := sniff(content[:HEAD])) and not is_readable(kind):  # until it is installed
                return Prepared(unread(file.path, str(error)))
            return Prepared(file.refuse(str(error)))
        except MemoryError:
            return Prepared(unread(file.path, NO_MEMORY))


def _read(file: File) -> tuple[File, bytes]:
    """The file with its content's hash, and the content; or the refused file and no content."""
    if file.size > MAX_BYTES:
        return file.refuse(f"{file.size:,} bytes, more than the limit of {MAX_BYTES:,}"), b""
    try:
        content = read_bytes(file.path)
    except OSError as error:
        return unread(file.path, error.strerror or str(error)), b""
    except MemoryError:
        return unread(file.path, NO_MEMORY), b""
    except ValueError as error:  # a path that no file can have
        return file.refuse(str(error)), b""
    return replace(file, content=hashlib.blake2b(content, digest_size=16).digest()), content
