"""From scores to ranked, calibrated results. `Index`, `Predictor`, the command line and the server all rank here.

An index asks its store for the nearest vectors and calls `rank`. A few given pictures or texts, which are in no index,
go through `rank_vectors`. A `Reranker` is the hook between the two stages: it replaces the scores of the best
candidates before results are made of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

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
        names: K paths of pictures, or K texts when a picture is the query; this is what a re-ranker reads.
        scores: ``[K]``, their similarity to the query.
        gallery_mean: mean score of the query over the whole gallery.
        gallery_size: items in the whole gallery.
        known: of K texts, whether the model knows any word of them; None: not asked.
    """

    names: Sequence[str]
    scores: Scores
    gallery_mean: float
    gallery_size: int
    known: Sequence[bool] | None = None


class Match(NamedTuple):
    """One candidate in its place of the ranking.

    Attributes:
        place: its position among the candidates that were ranked.
        score: its similarity to the query, or what the re-ranker gave it.
        relevance: probability that it is what the query describes, 0 … 1; None where that is not known.
    """

    place: int
    score: float
    relevance: float | None


class Reranker(Protocol):
    """A second, slower model that scores the best candidates again.

    Attributes:
        depth: how many candidates it reads at least; the best `top_k` of them become results.
    """

    @property
    def depth(self) -> int:
        """How many candidates it reads at least."""

    def __call__(self, query: Query, names: Sequence[str], scores: Scores) -> Scores:
        """Score K candidates.

        Args:
            query: its `terms` are what was asked for.
            names: paths of pictures, or texts when a picture is the query.
            scores: ``[K]``, of the dual encoder.

        Returns:
            ``[K]`` new scores, larger is better.
        """


def retrieval_depth(top_k: int, reranker: Reranker | None) -> int:
    """How many candidates are needed for `top_k` results."""
    return top_k if reranker is None else max(top_k, reranker.depth)


def rank(
    query: Query,
    candidates: Candidates,
    calibration: Calibration | None,
    top_k: int | None = None,
    reranker: Reranker | None = None,
) -> list[Match]:
    """Order candidates, best first; those with equal scores keep their order.

    The relevance follows from the dual encoder's score, which the calibration was fitted to, also with a re-ranker.

    Args:
        query: of `embed_queries`.
        candidates: the best of the gallery, at least `retrieval_depth` of them where there are so many.
        calibration: of the bundle; without it nothing has a relevance.
        top_k: keep only the best so many.
        reranker: gives the candidates new scores.

    Raises:
        SearchError: `top_k` is below 1.
    """
    if top_k is not None and top_k < 1:
        raise SearchError(f"top_k must be at least 1, not {top_k}")
    if not len(candidates.scores):
        return []
    relevance = _relevance(query, candidates, calibration)
    scores = candidates.scores
    if reranker is not None:
        scores = np.asarray(reranker(query, candidates.names, scores), dtype=np.float32)
        if scores.shape != candidates.scores.shape:
            raise ValueError(f"The re-ranker returned scores of shape {scores.shape}, not {candidates.scores.shape}")
    order = np.argsort(-scores, kind="stable")[:top_k]
    return [Match(int(place), float(scores[place]), relevance[place]) for place in order]


def rank_vectors(
    query: Query,
    vectors: npt.NDArray[np.float32],
    calibration: Calibration | None,
    top_k: int | None = None,
    known: Sequence[bool] | None = None,
    names: Sequence[str] = (),
    reranker: Reranker | None = None,
) -> list[Match]:
    """Order a few given vectors, which are the whole gallery; equal scores stay in order of position.

    Args:
        query: of `embed_queries`.
        vectors: ``[N, embed_dim]`` of unit length.
        calibration: of the bundle.
        top_k: only the best so many; None: all.
        known: of N texts, whether the model knows any word of them; one without has relevance 0.
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
    """Leave out what is less likely than `min_relevance`; what has no relevance stays."""
    return [result for result in results if result.relevance is None or result.relevance >= min_relevance]


def _relevance(query: Query, candidates: Candidates, calibration: Calibration | None) -> list[float | None]:
    """Of each candidate, in the order of `candidates`."""
    if calibration is None or not query.calibrated:
        return [None] * len(candidates.scores)
    if not query.known:  # the model reads all unknown words alike, so the scores mean nothing
        return [0.0] * len(candidates.scores)
    relevance = calibration.relevance(candidates.scores, candidates.gallery_mean, candidates.gallery_size)
    if candidates.known is not None:
        relevance = np.where(candidates.known, relevance, 0.0)
    return list(relevance.tolist())
