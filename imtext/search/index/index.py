"""An index: a searchable collection of pictures, updated when files on disk change."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from imtext.errors import SearchError
from imtext.search.bundle import Bundle, load_bundle
from imtext.search.encoder import Encoder
from imtext.search.index import sources as looking
from imtext.search.index.apply import Progress, Report, apply_changes, no_progress
from imtext.search.index.changes import Changes, compare
from imtext.search.index.folder import BUNDLE, bundle_stamp, create_index, is_index, only_writer, tidy
from imtext.search.query import Query, Term, embed_queries
from imtext.search.ranking import Candidates, Reranker, rank, relevant, retrieval_depth
from imtext.search.results import SearchResult
from imtext.search.store.location import open_store
from imtext.search.store.protocol import Neighbors

MAX_TOP_K = 1_000


class Index:
    """A searchable collection of pictures.

    Several threads can read it, also while another process writes.

    Args:
        folder: folder of an index created by `Index.create`.
        threads: number of threads for embedding; None: the number of cores.
        follow: look for new commits before every search. A server passes False and calls `refresh` in the background.
        reranker: scores the best candidates of every search again.

    Raises:
        SearchError: there is no index, or it is damaged.
        BundleError: the index's bundle is damaged.
    """

    def __init__(
        self, folder: Path, threads: int | None = None, follow: bool = True, reranker: Reranker | None = None
    ) -> None:
        self.folder, self.follow, self.reranker = folder, follow, reranker
        self.store = open_store(folder)
        self._bundle_stamp = bundle_stamp(folder)
        self.bundle = load_bundle(folder / BUNDLE)
        if self.bundle.embed_dim != self.store.embed_dim:
            raise SearchError(
                f"A rebuild of {folder} was interrupted. Finish it: imtext index --rebuild --bundle <bundle>"
            )
        self.encoder = Encoder(self.bundle, threads)

    @classmethod
    def create(cls, folder: Path, bundle: Bundle, rebuild: bool = False, store: str | None = None) -> Index:
        """Open an index for writing; create it if needed. See `create_index` for arguments and errors."""
        create_index(folder, bundle, rebuild, store)
        return cls(folder)

    @staticmethod
    def exists(folder: Path) -> bool:
        """Is there an index in this folder?"""
        return is_index(folder)

    def close(self) -> None:
        """Close the store."""
        self.store.close()

    # ---- writing

    def compare(self, sources: Sequence[str] = ()) -> Changes:
        """The changes that `update` would make, without making them."""
        found = looking.look(self.store, sources)
        looking.refuse_emptied(self.store, found)
        return compare(self.store, found)

    def update(
        self,
        sources: Sequence[str] = (),
        progress: Progress = no_progress,
        allow_empty: bool = False,
        files: Sequence[str] = (),
    ) -> Report:
        """Update the index from its sources: add, update, rename and remove pictures.

        Args:
            sources: as for `find`; none: all sources named so far.
            progress: called with the number of files done, the number to do, and the path of the last one done.
            allow_empty: remove the pictures of a folder that no longer has any, and of a source that no longer exists.
            files: paths, as in a list; a missing file is refused.

        Raises:
            SearchError: another process is writing, a source is missing, a named folder is suddenly empty, or the
                index was rebuilt since it was opened.
            StoreError: the store cannot be written; earlier commits are kept.
        """
        with only_writer(self.folder):
            self._require(is_index(self.folder) and bundle_stamp(self.folder) is not None and not self.replaced())
            tidy(self.folder)
            self.store.tidy()
            found = looking.look(self.store, sources, files)
            if allow_empty:
                found.believe_missing()
            else:
                looking.require_pictures(self.store, found)
            changes = compare(self.store, found)
            without_pictures = looking.remember(self.store, sources, found, forget_missing=allow_empty)
            report = apply_changes(self.store, self.encoder, changes, progress)
            report.without_pictures = without_pictures
            self._follow()  # so that the first search does not have to load the changes
        return report

    # ---- reading

    def __len__(self) -> int:
        return self.store.count()

    def replaced(self) -> bool:
        """Was the index rebuilt since it was opened, or can it no longer see new commits? Costs two `stat` calls."""
        stamp = bundle_stamp(self.folder)
        return self.store.replaced() or (stamp is not None and stamp != self._bundle_stamp)

    def refresh(self) -> bool:
        """Load what was committed since the last refresh; returns True if there was something new."""
        return self.store.refresh()

    def _follow(self) -> None:
        if self.follow:
            self._require(not self.replaced())
            self.refresh()

    def _require(self, same: bool) -> None:
        if not same:
            raise SearchError(f"The index in {self.folder} was rebuilt since it was opened; open it again")

    def search(self, terms: Sequence[Term], top_k: int = 10, min_relevance: float = 0.0) -> list[SearchResult]:
        """The best pictures for one query, best first.

        Args:
            terms: result of `parse_query`.
            top_k: maximum number of results.
            min_relevance: leave out results below this relevance; results without a relevance stay.

        Raises:
            SearchError: `top_k` out of bounds, or a query that cannot be embedded.
        """
        return self.search_batch([terms], top_k, min_relevance)[0]

    def search_batch(
        self, queries: Sequence[Sequence[Term]], top_k: int = 10, min_relevance: float = 0.0
    ) -> list[list[SearchResult]]:
        """Like `search`, for many queries in one pass over all vectors."""
        return self.search_queries(embed_queries(queries, self.encoder), top_k, min_relevance)

    def search_queries(
        self, queries: Sequence[Query], top_k: int = 10, min_relevance: float = 0.0
    ) -> list[list[SearchResult]]:
        """Like `search_batch`, for queries that are already embedded, such as pictures (`picture_query`).

        Raises:
            SearchError: `top_k` out of bounds.
        """
        if not 1 <= top_k <= MAX_TOP_K:
            raise SearchError(f"top_k must be between 1 and {MAX_TOP_K:,}, not {top_k}")
        self._follow()
        vectors = np.array([query.vector for query in queries], dtype=np.float32)
        neighbors = self.store.nearest(vectors, retrieval_depth(top_k, self.reranker))
        return [
            relevant(self._ranked(query, neighbors, row, top_k), min_relevance) for row, query in enumerate(queries)
        ]

    def _ranked(self, query: Query, neighbors: Neighbors, row: int, top_k: int) -> list[SearchResult]:
        ids = neighbors.ids[row].tolist()
        held = self.store.held(ids)
        present = [place for place, id in enumerate(ids) if id in held]  # the others were removed a moment ago
        files = [held[ids[place]] for place in present]
        mean = float(neighbors.mean @ query.vector)
        paths = [first.path for first, *_ in files]
        candidates = Candidates(paths, neighbors.scores[row][present], mean, neighbors.size)
        results = []
        for match in rank(query, candidates, self.bundle.calibration, top_k, self.reranker):
            first, *copies = files[match.place]
            others = tuple(file.path for file in copies)
            results.append(SearchResult(first.path, match.score, match.relevance, first.content.hex(), others))
        return results
