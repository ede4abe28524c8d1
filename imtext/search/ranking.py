"""Ranking and calibration of scores, for `Index`, `Predictor`, the command line and the server.

An index gets the nearest vectors from its store and calls `rank`. Pictures or texts that are in no index are ranked by
`rank_vectors`. A `Reranker` can score the best candidates again before they become results.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt

from imtext.errors import SearchError
from imtext.search.calibration import Calibration
from imtext.search.query import Query

Scores = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Candidates:
    """The best items of a gallery for one query, before they are ranked.

    Attributes:
        names: K paths of pictures, or K texts if a picture is the query; the re-ranker reads them.
        scores: ``[K]``, their similarity to the query.
        gallery_mean: mean score of the query over the whole gallery.
        gallery_size: number of items in the whole gallery.
        known: for each of K texts, whether the model knows any word of it; None: not checked.
    """

    names: Sequence[str]
    scores: Scores
    gallery_mean: float
    gallery_size: int
    known: Sequence[bool] | None = None


class Match(NamedTuple):
    """One ranked candidate.

    Attributes:
        place: its position among the candidates before ranking.
        score: its similarity to the query, or the re-ranker's score.
        relevance: probability that the query describes it, 0 … 1; None if that is not known.
    """

    place: int
    score: float
    relevance: float | None


class Reranker(Protocol):
    """A second, slower model that scores the best candidates again.

    Attributes:
        depth: number of candidates that it scores. They come first; the others follow in their old order.
    """

    @property
    def depth(self) -> int:
        """Number of candidates that it scores."""

    def __call__(self, query: Query, names: Sequence[str], scores: Scores) -> Scores:
        """Score K candidates.

        Args:
            query: the query with its `terms`.
            names: paths of pictures, or texts if a picture is the query; the best first.
            scores: ``[K]``, scores of the dual encoder.

        Returns:
            ``[K]`` new scores, larger is better; all NaN to leave the order as it is.
        """


@runtime_checkable
class CalibratedReranker(Reranker, Protocol):
    """A re-ranker whose scores have a calibration of their own.

    Attributes:
        calibration: converts its scores to a relevance; None: its results have no relevance.
    """

    @property
    def calibration(self) -> Calibration | None:
        """Calibration of its scores."""


def retrieval_depth(top_k: int, reranker: Reranker | None) -> int:
    """The number of candidates needed for `top_k` results."""
    return top_k if reranker is None else max(top_k, reranker.depth)


def rank(
    query: Query,
    candidates: Candidates,
    calibration: Calibration | None,
    top_k: int | None = None,
    reranker: Reranker | None = None,
) -> list[Match]:
    """Order candidates, best first; candidates with equal scores keep their order.

    A re-ranker scores the best `depth` candidates again. They come first, and the others follow. Unless it has a
    calibration of its own, the relevance is computed from the dual encoder's score, because the calibration was fitted
    to that. No other candidate then has a higher relevance than those that come first.

    Args:
        query: result of `embed_queries`.
        candidates: the best `retrieval_depth` items of the gallery, or all if there are fewer.
        calibration: calibration of the bundle; without it no result has a relevance.
        top_k: maximum number of results.
        reranker: gives the best candidates new scores.

    Raises:
        SearchError: `top_k` is below 1.
    """
    if top_k is not None and top_k < 1:
        raise SearchError(f"top_k must be at least 1, not {top_k}")
    if not len(candidates.scores):
        return []
    order = np.argsort(-candidates.scores, kind="stable")
    relevance, scores = _relevance(query, candidates, calibration), candidates.scores
    if reranker is not None:
        best = order[: reranker.depth].copy()
        new = _score_again(query, candidates, best, reranker)
        if not np.isnan(new).all():
            scores = scores.copy()
            scores[best] = new
            order[: len(best)] = best[np.argsort(-new, kind="stable")]
            if isinstance(reranker, CalibratedReranker):
                again = _relevance(query, replace(candidates, scores=scores), reranker.calibration)
                relevance = _joined(again, relevance, order, len(best))
    return [Match(int(place), float(scores[place]), relevance[place]) for place in order[:top_k]]


def _joined(
    again: Sequence[float | None], before: Sequence[float | None], order: npt.NDArray[np.int64], depth: int
) -> list[float | None]:
    """The relevance of re-ranked candidates, and of the others: at most that of the worst re-ranked one."""
    relevance = list(before)
    known = [value for place in order[:depth] if (value := again[place]) is not None]
    for place in order[:depth]:
        relevance[place] = again[place]
    for place in order[depth:]:
        if known and (value := relevance[place]) is not None:
            relevance[place] = min(value, *known)
    return relevance


def _score_again(
    query: Query, candidates: Candidates, places: npt.NDArray[np.int64], reranker: Reranker
) -> npt.NDArray[np.float32]:
    names = [candidates.names[place] for place in places]
    scores = np.asarray(reranker(query, names, candidates.scores[places]), dtype=np.float32)
    if scores.shape != places.shape:
        raise ValueError(f"The re-ranker returned scores of shape {scores.shape}, not {places.shape}")
    return scores


def rank_vectors(
    query: Query,
    vectors: npt.NDArray[np.float32],
    calibration: Calibration | None,
    top_k: int | None = None,
    known: Sequence[bool] | None = None,
    names: Sequence[str] = (),
    reranker: Reranker | None = None,
) -> list[Match]:
    """Order the vectors of a small gallery, best first; vectors with equal scores keep their order.

    Args:
        query: result of `embed_queries`.
        vectors: ``[N, embed_dim]`` of unit length.
        calibration: calibration of the bundle.
        top_k: maximum number of results; None: all.
        known: for each of N texts, whether the model knows any word of it; a text without known words has relevance 0.
        names: N paths or texts, for the re-ranker.
        reranker: gives the candidates new scores.

    Returns:
        Matches whose `place` is a row of `vectors`.

    Raises:
        SearchError: `top_k` is below 1.
    """
    mean = float(vectors.mean(axis=0) @ query.vector) if len(vectors) else 0.0
    candidates = Candidates(names, vectors @ query.vector, mean, len(vectors), known)
    return rank(query, candidates, calibration, top_k, reranker)


class _HasRelevance(Protocol):
    @property
    def relevance(self) -> float | None: ...


Result = TypeVar("Result", bound=_HasRelevance)


def relevant(results: Iterable[Result], min_relevance: float) -> list[Result]:
    """Leave out results below `min_relevance`; results without a relevance stay."""
    return [result for result in results if result.relevance is None or result.relevance >= min_relevance]


def _relevance(query: Query, candidates: Candidates, calibration: Calibration | None) -> list[float | None]:
    """The relevance of each candidate, in the order of `candidates`."""
    if calibration is None or not query.calibrated:
        return [None] * len(candidates.scores)
    if not query.known:  # all unknown words are the same to the model, so the scores have no meaning
        return [0.0] * len(candidates.scores)
    relevance = calibration.relevance(candidates.scores, candidates.gallery_mean, candidates.gallery_size)
    if candidates.known is not None:
        relevance = np.where(candidates.known, relevance, 0.0)
    return list(relevance.tolist())
