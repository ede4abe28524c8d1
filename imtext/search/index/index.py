"""An index: a folder with a store, the bundle its vectors were made with, and the matrix that is searched."""

from __future__ import annotations

import os
import re
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from imtext.errors import SearchError
from imtext.search.bundle import MANIFEST, Bundle, copy_bundle, is_replaceable, load_bundle
from imtext.search.encoder import Encoder
from imtext.search.index import sync
from imtext.search.query import Query, Term, embed_queries
from imtext.search.ranking import Candidates, Reranker, Scores, rank, relevant, retrieval_depth
from imtext.search.results import SearchResult
from imtext.search.store.matrix import Matrix, open_matrix
from imtext.search.store.sqlite import SQLiteStore

ROWS, VECTORS, LOCK, BUNDLE = "index.sqlite", "vectors.cache", "writer.lock", "bundle"
MAX_TOP_K = 1_000
EMPTIED = "has no pictures any more; --allow-empty removes them"


def default_index() -> Path:
    """Where an index lies unless another place is named: `IMTEXT_INDEX`, or the user's data folder."""
    if named := os.environ.get("IMTEXT_INDEX"):
        return Path(named).expanduser().absolute()
    if sys.platform == "darwin":
        return Path.home() / "Library/Application Support/imtext/index"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "imtext" / "index"


class Index:
    """A searchable collection of pictures; reading it is safe from several threads, and while another process writes.

    Args:
        folder: of an index made by `Index.create`.
        threads: for embedding; None: as many as there are cores.
        follow: look for new commits before every search. A server looks by itself, in the background.
        reranker: scores the best candidates of every search again.

    Raises:
        SearchError: there is none, or it is damaged.
        BundleError: its bundle is damaged.
    """

    def __init__(
        self, folder: Path, threads: int | None = None, follow: bool = True, reranker: Reranker | None = None
    ) -> None:
        self.folder, self.follow, self.reranker = folder, follow, reranker
        self.store = SQLiteStore(folder / ROWS)
        self._written = folder / ROWS, folder / BUNDLE / MANIFEST
        self._identity = self._inodes()
        self.bundle = load_bundle(folder / BUNDLE)
        if self.bundle.embed_dim != self.store.embed_dim:
            raise SearchError(f"{folder} was left half rebuilt. Finish it: imtext index --rebuild --bundle <bundle>")
        self.encoder = Encoder(self.bundle, threads)
        self._matrix: Matrix | None = None
        self._lock = threading.Lock()

    @classmethod
    def create(cls, folder: Path, bundle: Bundle, rebuild: bool = False) -> Index:
        """Open an index for writing, made first if there is none.

        Args:
            folder: of the index.
            bundle: what pictures are embedded with; the index keeps a copy, so that it needs nothing else.
            rebuild: throw away what was embedded, and remember only what files there were.

        Raises:
            SearchError: it was made with another bundle, the folder holds something else, or another process writes.
        """
        if not (folder / ROWS).exists():
            own = (LOCK, BUNDLE, VECTORS, ROWS, ".")  # and what was left of them by a killed process
            if folder.exists() and not all(path.name.startswith(own) for path in folder.iterdir()):
                raise SearchError(f"{folder} holds other files; choose an empty or a new folder for the index")
            folder.mkdir(parents=True, exist_ok=True)
        if rebuild or not (folder / ROWS).exists():
            with _only_writer(folder):
                if not (folder / ROWS).exists():
                    copy_bundle(bundle, folder / BUNDLE)
                    SQLiteStore(folder / ROWS, bundle.embed_dim).close()
                elif rebuild:
                    _empty(folder, bundle)
        if (made_with := load_bundle(folder / BUNDLE).fingerprint) != bundle.fingerprint:
            raise SearchError(
                f"The index in {folder} was made with another model ({made_with}, not {bundle.fingerprint}): "
                "their vectors cannot be compared. Leave --bundle away to go on with its own, add --rebuild to "
                "embed everything anew, or choose another --index"
            )
        SQLiteStore(folder / ROWS, bundle.embed_dim).close()
        return cls(folder)

    # ---- writing

    def compare(self, sources: Sequence[str] = ()) -> sync.Changes:
        """What `update` would do, without doing it."""
        found = self._find(sources)
        found.refused |= dict.fromkeys(self._emptied(found), EMPTIED)
        return sync.compare(self.store, found)

    def update(
        self,
        sources: Sequence[str] = (),
        progress: Callable[[int, int, str], None] = lambda done, total, path: None,
        allow_empty: bool = False,
        files: Sequence[str] = (),
    ) -> sync.Report:
        """Follow the sources: add, update, rename and remove.

        Args:
            sources: as for `sync.find`; none: all that were ever given.
            progress: called with files done, files to do and the present one's path.
            allow_empty: believe a folder that has lost all its pictures, and a source that is not there any more.
            files: paths, as in a list; one that is missing is refused.

        Raises:
            SearchError: another process is writing, a source is missing, a folder that was named is suddenly empty,
                or the index was made anew since it was opened.
        """
        with _only_writer(self.folder):
            self._require(self._identity == self._inodes())
            self._tidy()
            found = self._find(sources, files)
            if allow_empty:
                found.believe_missing()
            elif emptied := self._emptied(found):
                if not found.everything:
                    raise SearchError(
                        f"{emptied[0]} has no pictures any more, but the index knows some of it. Is a drive not "
                        "mounted? To remove them, add --allow-empty"
                    )
                found.refused |= dict.fromkeys(emptied, EMPTIED)  # it keeps none of the others from being followed
            changes = sync.compare(self.store, found)
            bare = [path for path in found.bare if not any(True for _ in self.store.files(path))]
            kept = [path for path in self._absolute(sources) if path not in bare]
            self.store.remember(kept, forget=found.missing if allow_empty else [])
            done, total = 0, len(changes.new) + len(changes.changed)

            def count(number: int, path: str) -> None:
                nonlocal done
                done += number
                progress(done, total, path)

            report = sync.apply(self.store, self.encoder, changes, count)
            report.bare = bare
            self.matrix()  # so that the first search need not make it
        return report

    def _find(self, given: Sequence[str], files: Sequence[str] = ()) -> sync.Found:
        if given or files:
            return sync.find(given, files=files)
        if not (remembered := self.store.sources()) and not any(True for _ in self.store.files()):
            raise SearchError("Nothing has been indexed yet. Name a folder: imtext index ~/Pictures")
        found = sync.find(remembered, again=True)
        found.everything = True
        return found

    def _emptied(self, found: sync.Found) -> list[str]:
        """Folders without a picture of which the index knows some; not those that cannot be listed."""
        return [
            folder
            for folder in found.folders
            if folder not in found.refused
            and not any(path.startswith(folder.rstrip(os.sep) + os.sep) for path in found.files)
            and any(True for _ in self.store.files(folder))
        ]

    def _tidy(self) -> None:
        """Remove what processes that are no more had begun to write."""
        import psutil  # only here: a search need not wait for it

        for path in self.folder.iterdir():
            begun = re.fullmatch(rf"({VECTORS}|\.{BUNDLE}\.unfinished|\.{BUNDLE}\.old)\.(\d{{1,9}})(\.\d+)?", path.name)
            if begun and not psutil.pid_exists(int(begun[2])):
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)

    @staticmethod
    def _absolute(sources: Sequence[str]) -> list[str]:
        """So that they mean the same from another folder; a list on standard input is gone once it was read."""
        return [os.path.abspath(os.path.expanduser(source)) for source in sources if source != "-"]

    # ---- reading

    def __len__(self) -> int:
        return self.store.count()

    def matrix(self) -> Matrix:
        """All vectors, of the last commit; with `follow` off, of the last `refresh`.

        Raises:
            SearchError: with `follow`, the index was made anew since it was opened.
        """
        if self.follow:
            self._require(not self.replaced())
        if self.follow or self._matrix is None:
            self.refresh()
        assert self._matrix is not None
        return self._matrix

    def replaced(self) -> bool:
        """Has this folder become another index, made anew with `rebuild`?

        Or was a file written to that this process may only take as it is?
        """
        now = self._inodes()
        return now is not None and now != self._identity

    def _inodes(self) -> tuple[int, ...] | None:
        """Of rows and bundle, which `rebuild` puts in their places one after the other."""
        try:
            rows, bundle = (path.stat() for path in self._written)
        except OSError:
            return None
        state = (rows.st_size, rows.st_mtime_ns) if self.store.immutable else ()
        return rows.st_ino, bundle.st_ino, *state

    def _require(self, same: bool) -> None:
        if not same:
            raise SearchError(f"The index in {self.folder} was written anew since it was opened; open it again")

    def refresh(self) -> bool:
        """Take up what was committed since; True if there was something."""
        with self._lock:
            if self._matrix is not None and self._matrix.version == self.store.version():
                return False
            self._matrix = open_matrix(self.folder / VECTORS, self.store)
            return True

    def search(self, terms: Sequence[Term], top_k: int = 10, min_relevance: float = 0.0) -> list[SearchResult]:
        """The best pictures for one query, best first.

        Args:
            terms: of `parse_query`.
            top_k: at most this many.
            min_relevance: leave out what is less likely than this; what has no relevance stays.

        Raises:
            SearchError: `top_k` out of bounds, or a query that cannot be embedded.
        """
        return self.search_batch([terms], top_k, min_relevance)[0]

    def search_batch(
        self, queries: Sequence[Sequence[Term]], top_k: int = 10, min_relevance: float = 0.0
    ) -> list[list[SearchResult]]:
        """Like `search` for many queries, which share the pass over all vectors."""
        return self.nearest(embed_queries(queries, self.encoder), top_k, min_relevance)

    def nearest(self, queries: Sequence[Query], top_k: int, min_relevance: float = 0.0) -> list[list[SearchResult]]:
        """Like `search` for queries that are embedded already; `Query(vector)` is a picture.

        Raises:
            SearchError: `top_k` out of bounds.
        """
        if not 1 <= top_k <= MAX_TOP_K:
            raise SearchError(f"top_k must be between 1 and {MAX_TOP_K:,}, not {top_k}")
        matrix = self.matrix()
        vectors = np.array([query.vector for query in queries], dtype=np.float32)
        places, scores = matrix.top_k(vectors, retrieval_depth(top_k, self.reranker))
        return [
            self._results(query, matrix.ids[where].tolist(), row, matrix, top_k, min_relevance)
            for query, where, row in zip(queries, places, scores, strict=True)
        ]

    def _results(
        self, query: Query, ids: list[int], scores: Scores, matrix: Matrix, top_k: int, min_relevance: float
    ) -> list[SearchResult]:
        held = self.store.held(ids)
        rows = [row for row, id in enumerate(ids) if id in held]  # the others were removed a moment ago
        files = [held[ids[row]] for row in rows]
        gallery = float(matrix.mean @ query.vector), len(matrix.ids)
        candidates = Candidates([first.path for first, *_ in files], scores[rows], *gallery)
        results = []
        for match in rank(query, candidates, self.bundle.calibration, top_k, self.reranker):
            first, *copies = files[match.place]
            others = tuple(file.path for file in copies)
            results.append(SearchResult(first.path, match.score, match.relevance, first.content.hex(), others))
        return relevant(results, min_relevance)


@contextmanager
def _only_writer(folder: Path) -> Iterator[None]:
    try:
        with FileLock(folder / LOCK).acquire(timeout=0):
            yield
    except Timeout:
        raise SearchError(f"Another process is indexing into {folder}; wait for it, then try again") from None


def _empty(folder: Path, bundle: Bundle) -> None:
    """Put an index without pictures in place of the one that is there; killed at any moment, its sources are kept.

    So are the names of its files: those of a list on standard input are written nowhere else.
    """
    before = SQLiteStore(folder / ROWS)
    sources = before.sources()
    files = [sync.unread(file.path, "not embedded anew yet") for file in before.files()]
    before.close()
    fresh = folder / f"{ROWS}.fresh"
    fresh.unlink(missing_ok=True)
    after = SQLiteStore(fresh, bundle.embed_dim)
    after.remember(sources)
    after.commit(files=files)
    after.close()
    for name in (f"{ROWS}-wal", f"{ROWS}-shm", VECTORS):
        (folder / name).unlink(missing_ok=True)
    fresh.replace(folder / ROWS)
    if (folder / BUNDLE).resolve() != bundle.path.resolve():
        if not is_replaceable(folder / BUNDLE):
            shutil.rmtree(folder / BUNDLE, ignore_errors=True)  # half a bundle, which nothing may be written over
        copy_bundle(bundle, folder / BUNDLE)
