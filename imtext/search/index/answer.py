"""From neighbours to results: what is asked of a search, ranking, and what is known of each picture."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from imtext.errors import SearchError
from imtext.search.bundle import Bundle
from imtext.search.encoder import Encoder
from imtext.search.facts import Facts
from imtext.search.filters import NO_FILTERS, Filters, Sort, folder_key, is_inside
from imtext.search.index.duplicates import group
from imtext.search.index.fusion import DEPTH, fuse
from imtext.search.query import Query
from imtext.search.ranking import CalibratedReranker, Candidates, Match, Reranker, rank, relevant, retrieval_depth
from imtext.search.reranker import bundle_reranker, can_rerank, candidates_to_rerank, grids_of
from imtext.search.results import FoundBy, SearchResult
from imtext.search.store.columns import local_time
from imtext.search.store.protocol import Store
from imtext.search.store.records import File, Grid, Neighbors, WordMatch
from imtext.search.words import asked_words

MAX_TOP_K = 1_000
MOST = 1_000  # pictures found by words

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
        words: also find pictures by words in names, in what people wrote, and in pictures.
    """

    top_k: int = 10
    min_relevance: float | None = 0.0
    rerank_top_k: int | None = None
    filters: Filters = NO_FILTERS
    sort: Sort = "relevance"
    fold: bool = True
    words: bool = True

    @property
    def candidates(self) -> int:
        """The number of candidates that are usually enough for `top_k` results."""
        return self.top_k + max(self.top_k, SPARE) if self.fold else self.top_k


def answer(
    query: Query,
    neighbors: Neighbors,
    row: int,
    depth: int,
    named: Sequence[WordMatch],
    options: SearchOptions,
    store: Store,
    encoder: Encoder,
    own_reranker: Reranker | None,
    approximate: bool = False,
) -> list[SearchResult]:
    """The results of one query, best first; looks for more candidates if too many are near duplicates.

    Args:
        query: the query.
        neighbors: result of `Store.nearest` for several queries.
        row: place of this query among them.
        depth: number of candidates to rank, as of `first_depth`.
        named: pictures that words of the query belong to, as of `Store.find_words`.
        options: what is wanted.
        store: the store that was searched.
        encoder: encoder of the index's bundle.
        own_reranker: takes the place of the bundle's re-ranker.
        approximate: see `Store.nearest`.
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
    matches = rank(query, candidates, bundle.calibration, None if named or options.fold else options.top_k, reranker)
    least = options.min_relevance
    if least is None:
        calibration = reranker.calibration if isinstance(reranker, CalibratedReranker) else bundle.calibration
        least = calibration.min_relevance if calibration else 0.0
    kept = relevant(matches, least)
    seen = {numbers[paths[match.place]]: match for match in kept}
    results = _results(query, seen, named, depth, options, store, held)
    # If one was left out as too little relevant, all further candidates would be, too.
    if options.fold and len(results) < options.top_k and len(kept) == len(matches) and len(ids) == depth < DEEPEST:
        depth = min(4 * depth, DEEPEST)
        neighbors = store.nearest(query.vector[None], depth, options.filters or None, approximate)
        return answer(query, neighbors, 0, depth, named, options, store, encoder, own_reranker, approximate)
    if options.sort == "date":
        results.sort(key=lambda one: one.date[:19], reverse=True)
    return results


def _results(
    query: Query,
    seen: Mapping[int, Match],
    named: Sequence[WordMatch],
    depth: int,
    options: SearchOptions,
    store: Store,
    held: Mapping[int, list[File]],
) -> list[SearchResult]:
    """The best pictures of those that the model finds, by id, and those that words belong to."""
    order, where = fuse([*seen], named)[:depth], {match.id: match.where for match in named}
    held = {**held, **held_files(store, [id for id in order if id not in held], options.filters)}
    order = [id for id in order if id in held]
    facts = store.facts(order)
    groups = group(store, order, facts) if options.fold else [[place] for place in range(len(order))]
    results = []
    for best, *others in groups[: options.top_k]:
        id = order[best]
        found_by: list[FoundBy] = ["picture"] if id in seen else []
        if id in seen:
            score, relevance = seen[id].score, seen[id].relevance
        else:  # the words are the reason to show it, whatever the model thinks of it
            vector = store.vector_of(id)
            score, relevance = 0.0 if vector is None else float(vector @ query.vector), None
        result = replace(found_picture(held[id], facts.get(id)), score=score, relevance=relevance)
        results.append(replace(result, near_duplicates=len(others), found_by=[*found_by, *where.get(id, ())]))
    return results


def named_pictures(query: Query, options: SearchOptions, store: Store) -> list[WordMatch]:
    """Pictures that words of a query belong to; none if it has parts that are pictures or that are taken away."""
    texts = [term.text for term in query.terms if term.text is not None and term.weight > 0]
    words = asked_words(" ".join(texts)) if options.words and len(texts) == len(query.terms) else ()
    return store.find_words(words, MOST, options.filters or None) if words else []


def first_depth(
    query: Query, options: SearchOptions, fused: bool, bundle: Bundle, own_reranker: Reranker | None
) -> int:
    """The number of candidates that a search needs at first; `fused`: pictures were found by words, too."""
    least = max(options.candidates, DEPTH if fused else 0)
    if own_reranker is not None:
        return retrieval_depth(least, own_reranker)
    reranked = candidates_to_rerank(bundle, options.rerank_top_k)
    return max(least, reranked if can_rerank(query) else 0)


def require_top_k(top_k: int) -> None:
    """Check the number of results.

    Raises:
        SearchError: it is out of bounds.
    """
    if not 1 <= top_k <= MAX_TOP_K:
        raise SearchError(f"top_k must be between 1 and {MAX_TOP_K:,}, not {top_k}")


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
