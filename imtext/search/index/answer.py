"""From neighbours to results: what is asked of a search, ranking, and what is known of each picture."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from imtext.search.encoder import Encoder
from imtext.search.facts import Facts
from imtext.search.filters import NO_FILTERS, Filters, Sort, folder_key, is_inside
from imtext.search.index.duplicates import group
from imtext.search.query import Query
from imtext.search.ranking import CalibratedReranker, Candidates, Reranker, rank, relevant
from imtext.search.reranker import bundle_reranker, grids_of
from imtext.search.results import SearchResult
from imtext.search.store.columns import local_time
from imtext.search.store.protocol import File, Grid, Neighbors, Store

SPARE = 20  # candidates beyond `top_k` at least, because some may be near duplicates
DEEPEST = 4_000  # candidates of one query at most, however many are near duplicates


@dataclass(frozen=True)
class SearchOptions:
    """What is wanted of one search.

    Attributes:
        top_k: maximum number of results.
        min_relevance: leave out results below this relevance; results without a relevance stay. None: the bundle's own
            threshold, after re-ranking that of the re-ranker.
        rerank_top_k: number of candidates that the bundle's re-ranker scores again; 0: none; None: as many as the
            bundle says, if it has a re-ranker. Only queries of a single text are ranked again.
        filters: choose from the pictures that pass.
        sort: order of the results. The best `top_k` are found first, then sorted; dates are sorted newest first.
        fold: leave out near duplicates of better results; the results say how many.
    """

    top_k: int = 10
    min_relevance: float | None = 0.0
    rerank_top_k: int | None = None
    filters: Filters = NO_FILTERS
    sort: Sort = "relevance"
    fold: bool = True

    @property
    def candidates(self) -> int:
        """The number of candidates that are usually enough for `top_k` results."""
        return self.top_k + max(self.top_k, SPARE) if self.fold else self.top_k


def answer(
    query: Query,
    neighbors: Neighbors,
    row: int,
    depth: int,
    options: SearchOptions,
    store: Store,
    encoder: Encoder,
    own_reranker: Reranker | None,
) -> tuple[list[SearchResult], bool]:
    """The results of one query, best first, and whether more candidates could add to them.

    Args:
        query: the query.
        neighbors: result of `Store.nearest` for several queries.
        row: place of this query among them.
        depth: number of candidates to rank.
        options: what is wanted.
        store: the store that was searched.
        encoder: encoder of the index's bundle.
        own_reranker: takes the place of the bundle's re-ranker.
    """
    ids = neighbors.ids[row][:depth].tolist()
    held = held_files(store, ids, options.filters)
    present = [place for place, id in enumerate(ids) if id in held]  # the others were removed a moment ago
    files = [held[ids[place]] for place in present]
    mean = float(neighbors.mean @ query.vector)
    paths = [first.path for first, *_ in files]
    candidates = Candidates(paths, neighbors.scores[row][present], mean, neighbors.size)
    numbers = {path: ids[place] for path, place in zip(paths, present, strict=True)}

    def find_grids(names: Sequence[str]) -> list[Grid | None]:
        return read_grids(store, encoder, [numbers[name] for name in names], held)

    bundle = encoder.bundle
    reranker = own_reranker or bundle_reranker(encoder, query, options.rerank_top_k, find_grids)
    matches = rank(query, candidates, bundle.calibration, None if options.fold else options.top_k, reranker)
    found = [numbers[paths[match.place]] for match in matches]
    facts = store.facts(found)
    groups = group(store, found, facts) if options.fold else [[place] for place in range(len(found))]
    results = [
        replace(
            found_picture(files[matches[best].place], facts.get(found[best])),
            score=matches[best].score,
            relevance=matches[best].relevance,
            near_duplicates=len(others),
        )
        for best, *others in groups[: options.top_k]
    ]
    least = options.min_relevance
    if least is None:
        calibration = reranker.calibration if isinstance(reranker, CalibratedReranker) else bundle.calibration
        least = calibration.min_relevance if calibration else 0.0
    kept = relevant(results, least)
    # All further candidates are less relevant than one that was left out for that.
    more = options.fold and len(kept) == len(results) < options.top_k and len(ids) == depth < DEEPEST
    if options.sort == "date":
        kept.sort(key=lambda one: one.date[:19], reverse=True)
    return kept, more


def list_pictures(store: Store, ids: Sequence[int], filters: Filters) -> list[SearchResult]:
    """Pictures in the order of their ids, without a score or a relevance; `filters`: see `held_files`."""
    held, facts = held_files(store, ids, filters), store.facts(ids)
    return [found_picture(held[id], facts.get(id)) for id in ids if id in held]


def held_files(store: Store, ids: Sequence[int], filters: Filters) -> dict[int, list[File]]:
    """Id → the files of this picture, in order of name. Those in the folder of `filters` come before other copies."""
    held = store.held(ids)
    if filters.folder:
        sources = store.sources()

        def is_outside(file: File) -> bool:
            folder = os.path.dirname(file.path)
            return not is_inside(filters.folder, folder, folder_key(folder, sources))

        for files in held.values():
            files.sort(key=is_outside)
    return held


def found_picture(files: Sequence[File], facts: Facts | None) -> SearchResult:
    """The result of a picture with these files, without a score or a relevance."""
    first, *copies = files
    facts = facts or Facts()
    return SearchResult(
        first.path,
        0.0,
        None,
        first.content.hex(),
        tuple(file.path for file in copies),
        facts.taken or local_time(min(file.mtime_ns for file in files)),
        "camera" if facts.taken else "file",
        None if facts.latitude is None or facts.longitude is None else (facts.latitude, facts.longitude),
    )


def read_grids(
    store: Store, encoder: Encoder, ids: Sequence[int], held: Mapping[int, Sequence[File]]
) -> list[Grid | None]:
    """The grids of pictures for the bundle's re-ranker, stored ones or from files.

    Args:
        store: the store of the index.
        encoder: encoder of its bundle.
        ids: ids of pictures.
        held: the files of each of them, as of `Store.held`.

    Returns:
        A grid for each id; None for a picture without a file that is as it was when it was indexed.
    """
    found = grids_of(encoder, store.grids(ids), {id: held[id] for id in ids})
    return [found.get(id) for id in ids]
