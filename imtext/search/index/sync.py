"""Making an index follow a folder: what is new, changed, renamed or gone, and why."""

from __future__ import annotations

import glob
import hashlib
import os
import stat
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from imtext.errors import SearchError
from imtext.preprocess import FORMATS, Pixels, Preprocess, open_image
from imtext.search.encoder import BATCH, Encoder
from imtext.search.query import PICTURE
from imtext.search.store.sqlite import File, Picture, VectorStore

COMMIT_SECONDS = 2.0  # work that a killed run can lose
MAX_BYTES = 500_000_000  # of one file
MAX_LIST = 100_000_000  # bytes of a text file of paths
UNREAD = -1  # bytes, which no file has
NO_MEMORY = "too large for this machine's memory"


@dataclass
class Found:
    """What lies in the places that were asked for.

    Attributes:
        files: of pictures, by path.
        folders: of which the index shall hold exactly these files.
        refused: paths that could not even be looked at, and why.
        missing: sources of earlier runs that are not there any more.
        bare: sources given for the first time in which there is no picture.
        everything: all sources were looked at, so that a file which none of them has is gone if it does not exist.
        believing: it is gone even if its folder does not exist either.
    """

    files: dict[str, File] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    bare: list[str] = field(default_factory=list)
    everything: bool = False
    believing: bool = False

    def add(self, other: Found) -> None:
        """What lies in one more place."""
        self.files |= other.files
        self.folders += other.folders
        self.refused |= other.refused
        self.missing += other.missing
        self.bare += other.bare

    def believe_missing(self) -> None:
        """What lay in places that are missing is gone."""
        self.believing = True
        self.folders += self.missing
        for path in self.missing:
            del self.refused[path]


@dataclass
class Changes:
    """The difference between what was found and what is indexed.

    Attributes:
        new: never seen.
        changed: another size or time of change than when they were indexed.
        gone: in the index, no longer in their folder.
        unchanged: how many need nothing.
        refused: how many of those were refused and have not changed since.
        unseen: paths that could not even be looked at, and why.
    """

    new: list[File]
    changed: list[File]
    gone: list[str]
    unchanged: int
    refused: int
    unseen: dict[str, str]


@dataclass
class Report:
    """What a run did.

    Attributes:
        added: files that were embedded.
        updated: of those, the ones that were indexed before with other content.
        renamed: (before, after) of files whose content was known, under a name that is gone.
        copies: new files whose content was known, under a name that still exists.
        removed: files that are gone.
        unchanged: files that needed nothing.
        refused: path → why it was left out; those that were refused before and have not changed are not named again.
        refused_before: how many of those there are.
        bare: sources that are not remembered, since there is no picture in them.
        seconds: all of it.
    """

    added: int = 0
    updated: int = 0
    renamed: list[tuple[str, str]] = field(default_factory=list)
    copies: int = 0
    removed: int = 0
    unchanged: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    refused_before: int = 0
    bare: list[str] = field(default_factory=list)
    seconds: float = 0.0


def find(sources: Iterable[str], again: bool = False, files: Iterable[str] = ()) -> Found:
    """Look for pictures.

    Args:
        sources: each a folder (searched with all below it, hidden ones left out), a picture, a pattern such as
            ``~/Pictures/2024*/*.jpg``, a text file that lists paths, or ``-`` for such a list on standard input.
        again: they were found before: one that is missing is noted, and keeps none of the others from being followed.
        files: paths, as in a list; one that is missing is refused.

    Raises:
        SearchError: a source is none of these.
    """
    found = Found()
    _listed(found, files, os.getcwd())
    for source in sources:
        found.add(_find(source, again))
    return found


def _find(source: str, again: bool) -> Found:
    found = Found()
    path = os.path.abspath(os.path.expanduser(source))
    if source == "-":
        _listed(found, _lines(sys.stdin.buffer.read()), os.getcwd())
        return found
    if os.path.isdir(path):
        found.folders.append(path)
        _walk(found, path)
    elif os.path.isfile(path) and PICTURE.search(path):
        _add(found, path)
    elif os.path.isfile(path):
        try:
            with open(path, "rb") as file:
                content = file.read(MAX_LIST + 1)
        except OSError as error:
            raise SearchError(f"{source} cannot be read: {error.strerror}") from error
        if len(content) > MAX_LIST or _is_binary(content):
            found.refused[path] = f"neither a picture ({', '.join(FORMATS)}) nor a list of paths"
            if not again:
                found.bare.append(path)
        elif not _listed(found, _lines(content), os.path.dirname(path)) and not again:
            raise SearchError(f"{source} is no list of pictures: none of its lines names a path that exists")
    elif glob.has_magic(source) and (matches := sorted(glob.glob(os.path.expanduser(source), recursive=True))):
        _listed(found, matches, os.getcwd())
    elif again:
        found.missing.append(path)
        found.refused[path] = "not there any more; --allow-empty forgets it and removes its pictures"
    elif glob.has_magic(source):
        raise SearchError(f"Nothing matches {source}")
    else:
        raise SearchError(
            f"There is no {source}. Give a folder, pictures, a pattern in quotes, or a text file of paths"
        )
    if not (again or found.files or found.refused):  # what could not be looked at may have some
        found.bare.append(path)
    return found


def compare(store: VectorStore, found: Found) -> Changes:
    """What indexing would do."""
    before = {file.path: file for folder in found.folders for file in store.files(folder)}
    if found.everything:  # patterns, lists and single files say nothing of what they do not name
        for file in store.files():
            if file.path in before or file.path in found.files:
                continue
            if file.path in found.folders or _deleted(file.path, found.believing):
                before[file.path] = file
            elif os.path.isfile(file.path):  # from a list on standard input, which is not read again
                _add(found, file.path)
    outside = [path for path in found.files if path not in before]
    if outside and not _all_new(store):
        wanted = set(outside)
        before |= {file.path: file for file in store.files() if file.path in wanted}
    changes = Changes([], [], [], 0, 0, found.refused)
    for path, file in found.files.items():
        known = before.get(path)
        if known is None:
            changes.new.append(file)
        elif (known.size, known.mtime_ns) != (file.size, file.mtime_ns):
            changes.changed.append(file)
        else:
            changes.unchanged += 1
            changes.refused += bool(known.reason)
    # What cannot be looked at, or lies below such a folder, is not gone.
    blind = tuple(path + os.sep for path in found.refused)
    changes.gone = [
        path for path in before if not (path in found.files or path in found.refused or path.startswith(blind))
    ]
    return changes


def _deleted(path: str, believing: bool) -> bool:
    """A file that is gone from a folder that is there; without the folder, a drive may not be mounted."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return believing or os.path.isdir(os.path.dirname(path))
    except OSError:  # cannot be looked at
        pass
    return False


def apply(
    store: VectorStore, encoder: Encoder, changes: Changes, progress: Callable[[int, str], None] = lambda done, _: None
) -> Report:
    """Bring a store up to date, in commits of a few seconds' work.

    Files are read, hashed and decoded ahead by threads while others are embedded; memory does not grow with their
    number. A file that cannot be read is reported and remembered, and never keeps the next from being indexed.

    Args:
        store: the only writer of it.
        encoder: of the index's own bundle.
        changes: of `compare`.
        progress: called with the number of files dealt with since the last call, and the last one's path.
    """
    started = last = time.monotonic()
    report = Report(
        unchanged=changes.unchanged - changes.refused, refused=dict(changes.unseen), refused_before=changes.refused
    )
    changed = {file.path for file in changes.changed}
    gone = set(changes.gone)
    past = {file.path: file.content for file in store.files() if file.path in gone or file.path in changed}
    left = {past[path]: path for path in changes.gone if past[path]}  # content → the name it had
    seen: set[bytes] = set()  # contents embedded in this run
    files: list[File] = []
    pictures: list[Picture] = []
    waiting: list[tuple[File, Pixels]] = []

    def embed() -> None:
        vectors = encoder.encode_images([pixels for _, pixels in waiting])
        pictures.extend(Picture(file.content, vector) for (file, _), vector in zip(waiting, vectors, strict=True))
        files.extend(file for file, _ in waiting)
        waiting.clear()

    for file, pixels in _prepared([*changes.new, *changes.changed], encoder.bundle.preprocess, store, seen):
        progress(1, file.path)
        if file.reason:
            report.refused[file.path] = file.reason
            if file.size != UNREAD or file.path not in past:  # a good picture that cannot be read now is kept
                files.append(file)
        elif pixels is not None:
            report.added += 1
            report.updated += bool(past.get(file.path))
            waiting.append((file, pixels))
        else:
            if file.content == past.get(file.path):
                report.unchanged += 1  # touched, not altered
            elif (before := left.pop(file.content, None)) is not None:
                report.renamed.append((before, file.path))
            else:
                report.copies += 1
            if file.content in {other.content for other, _ in waiting}:
                embed()
            files.append(file)
        if len(waiting) == BATCH:
            embed()
        if time.monotonic() - last > COMMIT_SECONDS:
            embed()
            store.commit(pictures, files, sweep=False)  # a file read ahead may hold a picture that others let go
            pictures, files, last = [], [], time.monotonic()
    if waiting:
        embed()
    # Old names go last: until then a renamed picture is found under both, and its vector is never lost.
    store.commit(pictures, files, changes.gone)
    report.removed = len(changes.gone) - len(report.renamed)
    report.seconds = time.monotonic() - started
    return report


def _prepared(
    files: list[File], preprocess: Preprocess, store: VectorStore, seen: set[bytes]
) -> Iterator[tuple[File, Pixels | None]]:
    """Files in order, with their pixels if they are to be embedded; read and decoded ahead of the reader."""
    workers = os.cpu_count() or 1

    def read(file: File) -> tuple[File, bytes]:
        try:
            if file.size > MAX_BYTES:
                raise ValueError(f"{file.size:,} bytes, more than the limit of {MAX_BYTES:,}")
            content = Path(file.path).read_bytes()
        except OSError as error:
            return unread(file.path, error.strerror or str(error)), b""
        except MemoryError:
            return unread(file.path, NO_MEMORY), b""
        except ValueError as error:
            return _refuse(file, str(error)), b""
        digest = hashlib.blake2b(content, digest_size=16).digest()
        return File(file.path, file.size, file.mtime_ns, digest), content

    def decode(file: File, content: bytes) -> tuple[File, Pixels | None]:
        try:
            return file, preprocess.pixels(open_image(content, preprocess.image_size))
        except ValueError as error:
            return _refuse(file, str(error)), None
        except MemoryError:
            return unread(file.path, NO_MEMORY), None

    def work(file: File) -> tuple[File, Pixels | None]:
        file, content = read(file)
        # `seen` may be a moment behind: the same content is then decoded twice, and stored once.
        known = file.reason or file.content in seen or store.known([file.content])
        return (file, None) if known else decode(file, content)

    with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
        ahead: deque[Future[tuple[File, Pixels | None]]] = deque()
        rest = iter(files)
        try:
            while True:
                while len(ahead) < 2 * BATCH and (file := next(rest, None)) is not None:
                    ahead.append(pool.submit(work, file))
                if not ahead:
                    return
                file, pixels = ahead.popleft().result()
                if pixels is not None and file.content in seen:
                    pixels = None
                if pixels is not None:
                    seen.add(file.content)
                yield file, pixels
        finally:
            for future in ahead:
                future.cancel()


def unread(path: str, reason: str) -> File:
    """A file whose content is not known, for a reason that may pass: it counts as changed until it has been read."""
    return _refuse(File(path, UNREAD, 0), reason)


def _refuse(file: File, reason: str) -> File:
    return File(file.path, file.size, file.mtime_ns, b"", " ".join(reason.split())[:300] or "unreadable")


def _all_new(store: VectorStore) -> bool:
    return next(iter(store.files()), None) is None


def _walk(found: Found, folder: str) -> None:
    """All pictures below a folder, in order of name; links to folders are not followed, they may lead in circles."""
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        try:
            with os.scandir(here) as entries:
                inside = sorted(
                    (entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name
                )
        except OSError as error:
            found.refused[here] = f"cannot be listed: {error.strerror}"
            continue
        for entry in inside:
            if entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)
            elif PICTURE.search(entry.name):
                _add(found, entry.path)


def _is_binary(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return b"\0" in content
    return b"\0" in content and b"/" not in content.partition(b"\0")[0]  # `find -print0` writes paths


def _lines(content: bytes) -> list[str]:
    """Paths, each on a line, or, as of `find -print0`, ended by NUL; names are bytes, of whatever encoding."""
    return [os.fsdecode(line) for line in content.split(b"\0" if b"\0" in content else b"\n")]


def _listed(found: Found, lines: Iterable[str], relative_to: str) -> bool:
    """Take up what is listed; is any of it there?"""
    there = False
    for line in lines:
        if line.strip():
            path = os.path.abspath(os.path.join(relative_to, os.path.expanduser(line.rstrip("\r\n"))))
            there = there or os.path.lexists(path)
            if os.path.isdir(path):
                _walk(found, path)
            else:
                _add(found, path)
    return there


def _add(found: Found, path: str) -> None:
    try:
        state = os.stat(path)
    except OSError as error:
        found.refused[path] = error.strerror or str(error)
        return
    if not stat.S_ISREG(state.st_mode):  # a pipe would wait for ever
        found.refused[path] = "not a plain file"
        return
    found.files[path] = File(path, state.st_size, state.st_mtime_ns)
