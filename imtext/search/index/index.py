"""An index: a searchable collection of pictures, updated when files on disk change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from imtext.errors import SearchError
from imtext.search.bundle import Bundle, load_bundle
from imtext.search.encoder import Encoder
from imtext.search.filters import NO_FILTERS, Filters, Sort
from imtext.search.index import sources as looking
from imtext.search.index.answer import (
    SearchOptions,
    answer,
    first_depth,
    list_pictures,
    named_pictures,
    read_grids,
    require_top_k,
)
from imtext.search.index.apply import Progress, Report, apply_changes, no_progress
from imtext.search.index.changes import Changes, compare
from imtext.search.index.duplicates import duplicates_of, find_duplicates
from imtext.search.index.embedding import Embedder, LocalEmbedder
from imtext.search.index.folder import BUNDLE, bundle_stamp, create_index, is_index, only_writer, require_model, tidy
from imtext.search.index.journal import Journal
from imtext.search.index.rules import Rules, read_rules, write_rules
from imtext.search.query import Query, Term, embed_queries
from imtext.search.ranking import Reranker
from imtext.search.reranker import has_grids, keeps_grids
from imtext.search.results import Duplicate, SearchResult
from imtext.search.store.location import open_store
from imtext.search.store.records import File, Grid


class Index:
    """A searchable collection of pictures.

    Several threads can read it, also while another process writes.

    Args:
        folder: folder of an index created by `Index.create`.
        threads: number of threads for embedding; None: the number of cores.
        follow: look for new commits before every search. A server passes False and calls `refresh` in the background.
        reranker: scores the best candidates of every search again, instead of the bundle's own re-ranker.
        approximate: search faster, and miss a few of the nearest pictures; see `Store.nearest`.

    Raises:
        SearchError: there is no index, or it is damaged.
        BundleError: the index's bundle is damaged.
    """

    def __init__(
        self,
        folder: Path,
        threads: int | None = None,
        follow: bool = True,
        reranker: Reranker | None = None,
        approximate: bool = False,
    ) -> None:
        self.folder, self.follow, self.reranker, self.approximate = folder, follow, reranker, approximate
        self.store, self._bundle_stamp = open_store(folder), bundle_stamp(folder)
        self.bundle = load_bundle(folder / BUNDLE)
        require_model(folder, self.store, self.bundle)
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

    @property
    def rules(self) -> Rules:
        """What is left out, as the last update said."""
        return read_rules(self.folder)

    def compare(self, sources: Sequence[str] = (), rules: Rules | None = None) -> Changes:
        """The changes that `update` would make, without making them."""
        found = looking.look(self.store, sources, rules=rules or self.rules)
        looking.refuse_emptied(self.store, found)
        return compare(self.store, found)

    def update(
        self,
        sources: Sequence[str] = (),
        progress: Progress = no_progress,
        allow_empty: bool = False,
        files: Sequence[str] = (),
        grids: bool | None = None,
        rules: Rules | None = None,
        verify: bool = False,
        embedder: Embedder | None = None,
    ) -> Report:
        """Update the index from its sources: add, update, rename and remove pictures.

        Args:
            sources: as for `find`; none: all sources named so far.
            progress: called with the number of files done, the number to do, and the path of the last one done.
            allow_empty: remove the pictures of a folder that no longer has any, and of a source that no longer exists.
            files: paths, as in a list; a missing file is refused.
            grids: store what the bundle's re-ranker reads of every new picture; without it, each search reads files.
                None: as for the pictures that are there, and of the first pictures yes.
            rules: what is left out below folders, now and in later updates; indexed pictures that are left out are
                removed. None: as before.
            verify: read the content of every picture, to find changes that date and size do not show.
            embedder: embeds with the index's bundle; None: this process.

        Raises:
            SearchError: another process is writing, a source is missing, a named folder is suddenly empty, the index
                was rebuilt since it was opened, or `grids` differs from the pictures that are there.
            StoreError: the store cannot be written; earlier commits are kept.
        """
        journal = Journal(self.folder)
        with only_writer(self.folder), journal.running():
            self._require(is_index(self.folder) and bundle_stamp(self.folder) is not None and not self.replaced())
            tidy(self.folder)
            self.store.tidy()
            keep = keeps_grids(self.store, self.bundle, grids)
            rules = rules or self.rules
            found = looking.look(self.store, sources, files, rules)
            if allow_empty:
                found.believe_missing()
            else:
                looking.require_pictures(self.store, found)
            changes = compare(self.store, found, verify)
            write_rules(self.folder, rules)
            without_pictures = looking.remember(self.store, sources, found, forget_missing=allow_empty)
            embedder, size = embedder or LocalEmbedder(self.encoder), self.bundle.preprocess.image_size
            report = apply_changes(self.store, embedder, changes, size, journal.follow(progress), keep)
            report.without_pictures = without_pictures
            journal.finish(report, self.store)
            self._follow()  # so that the first search does not have to load the changes
        return report

    def read_texts(self, progress: Progress = no_progress) -> int:
        """Read text in the pictures in which none was looked for yet, such as signs. Returns the number of pictures.

        Raises:
            MissingExtraError: the package that reads text is not installed.
            SearchError: another process is writing.
            StoreError: the store cannot be written; what was committed before is kept.
        """
        from imtext.search.index.reading import read_texts

        with only_writer(self.folder):
            return read_texts(self.store, progress)

    # ---- reading

    def __len__(self) -> int:
        return self.store.count()

    @property
    def has_grids(self) -> bool:
        """Are the grids of its pictures stored?"""
        return bool(has_grids(self.store))

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

    def search(
        self,
        terms: Sequence[Term],
        top_k: int = 10,
        min_relevance: float | None = 0.0,
        rerank_top_k: int | None = None,
        filters: Filters = NO_FILTERS,
        sort: Sort = "relevance",
        fold: bool = True,
        words: bool = True,
    ) -> list[SearchResult]:
        """The best pictures for one query, best first. For the arguments see `SearchOptions`.

        Raises:
            SearchError: a number out of bounds, a query that cannot be embedded, or no re-ranker in the bundle.
        """
        return self.search_batch([terms], top_k, min_relevance, rerank_top_k, filters, sort, fold, words)[0]

    def search_batch(
        self,
        queries: Sequence[Sequence[Term]],
        top_k: int = 10,
        min_relevance: float | None = 0.0,
        rerank_top_k: int | None = None,
        filters: Filters = NO_FILTERS,
        sort: Sort = "relevance",
        fold: bool = True,
        words: bool = True,
    ) -> list[list[SearchResult]]:
        """Like `search`, for many queries in one pass over all vectors."""
        embedded = embed_queries(queries, self.encoder)
        return self.search_queries(embedded, top_k, min_relevance, rerank_top_k, filters, sort, fold, words)

    def search_queries(
        self,
        queries: Sequence[Query],
        top_k: int = 10,
        min_relevance: float | None = 0.0,
        rerank_top_k: int | None = None,
        filters: Filters = NO_FILTERS,
        sort: Sort = "relevance",
        fold: bool = True,
        words: bool = True,
    ) -> list[list[SearchResult]]:
        """Like `search_batch`, for queries that are already embedded, such as pictures (`picture_query`).

        Raises:
            SearchError: a number out of bounds, or no re-ranker in the bundle.
        """
        options = SearchOptions(top_k, min_relevance, rerank_top_k, filters, sort, fold, words)
        return self.search_each(queries, [options] * len(queries))

    def search_each(self, queries: Sequence[Query], options: Sequence[SearchOptions]) -> list[list[SearchResult]]:
        """Like `search_queries`, with options for each query; a query has the same results as alone.

        Raises:
            SearchError: a number out of bounds, or no re-ranker in the bundle.
        """
        for one in options:
            require_top_k(one.top_k)
        self._follow()
        asked = list(zip(queries, options, strict=True))
        named = [named_pictures(query, one, self.store) for query, one in asked]
        depths = [
            first_depth(*one, bool(words), self.bundle, self.reranker) for one, words in zip(asked, named, strict=True)
        ]
        found: dict[int, list[SearchResult]] = {}
        for filters in dict.fromkeys(one.filters for one in options):  # one pass for all queries of the same filters
            rows = [row for row, one in enumerate(options) if one.filters == filters]
            vectors = np.array([queries[row].vector for row in rows], dtype=np.float32)
            depth = max(depths[row] for row in rows)
            neighbors = self.store.nearest(vectors, depth, filters or None, self.approximate)
            for place, row in enumerate(rows):
                wanted = queries[row], neighbors, place, depths[row], named[row], options[row]
                found[row] = answer(*wanted, self.store, self.encoder, self.reranker, self.approximate)
        return [found[row] for row in range(len(queries))]

    def newest(self, top_k: int = 10, filters: Filters = NO_FILTERS) -> list[SearchResult]:
        """The newest pictures that pass, newest first, without a score or a relevance.

        Raises:
            SearchError: `top_k` is out of bounds.
        """
        require_top_k(top_k)
        self._follow()
        return list_pictures(self.store, self.store.by_date(filters).ids[:top_k].tolist(), filters)

    def duplicates(self) -> list[tuple[Duplicate, ...]]:
        """Groups of near duplicates and of files with the same content; see `find_duplicates`."""
        self._follow()
        return find_duplicates(self.store)

    def duplicates_of(self, id: str) -> list[Duplicate]:
        """The near duplicates of the picture with this id, as of results, the best first; itself is left out.

        Raises:
            SearchError: there is no such picture.
        """
        self._follow()
        if (found := self.store.find(bytes.fromhex(id))) is None:
            raise SearchError(f"There is no picture {id}")
        return duplicates_of(self.store, found[0])

    def grids(self, ids: Sequence[int], held: Mapping[int, Sequence[File]]) -> list[Grid | None]:
        """The grids of pictures for the bundle's re-ranker; see `read_grids`."""
        return read_grids(self.store, self.encoder, ids, held)
