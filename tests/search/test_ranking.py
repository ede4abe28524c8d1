"""Ranking and relevance, which all kinds of search share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from imtext.errors import SearchError
from imtext.search import Bundle, Encoder, Index, Predictor, Query, SearchResult, parse_query
from imtext.search.calibration import Calibration
from imtext.search.query import picture_query
from imtext.search.ranking import Candidates, Match, Scores, rank, rank_vectors, relevant, retrieval_depth

CALIBRATION = Calibration(10.0, 0.0, -5.0, 0.1, 0.5, 0.5, 0.0, [])
TEXT = Query(np.array([1, 0], dtype=np.float32), calibrated=True)
VECTORS = np.array([[0.6, 0.8], [1, 0], [0.6, -0.8], [0, 1]], dtype=np.float32)


class ByName:
    """A re-ranker that prefers names late in the alphabet."""

    def __init__(self, depth: int = 100) -> None:
        self.depth = depth
        self.calls: list[tuple[Query, list[str]]] = []

    def __call__(self, query: Query, names: Sequence[str], scores: Scores) -> Scores:
        self.calls.append((query, list(names)))
        order = sorted(names)
        return np.array([order.index(name) for name in names], dtype=np.float32)


def test_best_first_and_ties_in_order_of_position() -> None:
    matches = rank_vectors(TEXT, VECTORS, None)
    assert [match.place for match in matches] == [1, 0, 2, 3]
    assert matches[0] == Match(1, 1.0, None)
    assert rank_vectors(TEXT, VECTORS, None, top_k=2) == matches[:2]
    assert rank_vectors(TEXT, VECTORS, None, top_k=99) == matches
    assert rank_vectors(TEXT, VECTORS[:0], CALIBRATION) == []
    with pytest.raises(SearchError, match="top_k must be at least 1, not 0"):
        rank_vectors(TEXT, VECTORS, None, top_k=0)


def test_relevance_is_that_of_the_calibration() -> None:
    matches = rank_vectors(TEXT, VECTORS, CALIBRATION)
    expected = CALIBRATION.relevance(VECTORS[:, 0], float(VECTORS[:, 0].mean()), 4)
    for match in matches:
        assert match.relevance == pytest.approx(expected[match.place])


def test_no_relevance_for_pictures() -> None:
    assert {match.relevance for match in rank_vectors(picture_query(TEXT.vector), VECTORS, CALIBRATION)} == {None}


def test_unknown_words_are_never_relevant() -> None:
    unknown = replace(TEXT, known=False)
    assert {match.relevance for match in rank_vectors(unknown, VECTORS, CALIBRATION)} == {0.0}
    assert {match.relevance for match in rank_vectors(unknown, VECTORS, None)} == {None}
    texts = rank_vectors(TEXT, VECTORS, CALIBRATION, known=[True, False, True, True])
    assert {match.place for match in texts if match.relevance == 0} == {1}


def test_relevant_keeps_results_without_relevance() -> None:
    results = [SearchResult("a", 0.1, None), SearchResult("b", 0.1, 0.2), SearchResult("c", 0.1, 0.5)]
    assert [result.path for result in relevant(results, 0.5)] == ["a", "c"]


def test_reranker_decides_the_order_and_not_the_relevance() -> None:
    names = ["a", "b", "c", "d"]
    reranker = ByName()
    plain = {match.place: match.relevance for match in rank_vectors(TEXT, VECTORS, CALIBRATION)}
    matches = rank_vectors(TEXT, VECTORS, CALIBRATION, top_k=2, names=names, reranker=reranker)
    assert [(match.place, match.score) for match in matches] == [(3, 3.0), (2, 2.0)]
    assert [match.relevance for match in matches] == [plain[3], plain[2]]
    with pytest.raises(ValueError, match=r"shape \(2,\), not \(4,\)"):
        rank_vectors(TEXT, VECTORS, None, names=names, reranker=TwoScores())


class TwoScores(ByName):
    """A re-ranker that is wrong."""

    def __call__(self, query: Query, names: Sequence[str], scores: Scores) -> Scores:
        return np.asarray(VECTORS[0])


class Calibrated(ByName):
    """A re-ranker with a calibration of its own."""

    calibration = replace(CALIBRATION, bias=1.0)


def test_the_best_are_ranked_again_and_the_others_follow() -> None:
    # Similarities 0.6, 1, 0.6, 0: the best two are b and a.
    matches = rank_vectors(TEXT, VECTORS, CALIBRATION, names=["x", "b", "c", "d"], reranker=ByName(2))
    assert [(match.place, round(match.score, 3)) for match in matches] == [(0, 1), (1, 0), (2, 0.6), (3, 0)]
    again = rank_vectors(TEXT, VECTORS, CALIBRATION, names=["x", "b", "c", "d"], reranker=Calibrated(2))
    assert [match[:2] for match in again] == [match[:2] for match in matches]
    mean = float(VECTORS[:, 0].mean())
    expected = Calibrated.calibration.relevance(np.array([1.0, 0.0]), mean, 4)
    assert [match.relevance for match in again[:2]] == pytest.approx(expected.tolist())
    assert [match.relevance for match in again[2:]] == [match.relevance for match in matches[2:]]
    assert {match.relevance for match in rank_vectors(replace(TEXT, known=False), VECTORS, CALIBRATION,
                                                      names=list("xbcd"), reranker=Calibrated(2))} == {0.0}  # fmt: skip


def test_reranker_reads_more_candidates_than_are_shown() -> None:
    assert retrieval_depth(10, None) == 10
    assert retrieval_depth(10, ByName(100)) == 100
    assert retrieval_depth(10, ByName(3)) == 10
    candidates = Candidates(["x", "z", "y"], np.array([3, 2, 1], dtype=np.float32), 0.0, 1000)
    assert [match.place for match in rank(TEXT, candidates, None, 2, ByName())] == [1, 2]


# ---- through everything that ranks


@pytest.fixture
def index(bundle: Bundle, gallery: Path, tmp_path: Path) -> Index:
    opened = Index.create(tmp_path / "index", bundle)
    opened.update([str(gallery)])
    return opened


def test_reranker_through_index(index: Index, gallery: Path) -> None:
    index.reranker = reranker = ByName(depth=12)
    terms = parse_query("a red circle")
    results = index.search(terms, top_k=2)
    assert [Path(result.path).name for result in results] == ["11.png", "10.png"], "beyond the two with best scores"
    ((query, names),) = reranker.calls
    assert list(query.terms) == terms
    assert set(names) == {str(path) for path in gallery.rglob("*.png")}


def test_reranker_through_predictor(encoder: Encoder, gallery: Path) -> None:
    predictor, paths = Predictor(encoder, reranker=ByName(depth=12)), sorted(gallery.glob("*.png"))
    assert predictor.rank_images("red", paths)[0].path == str(paths[-1])
    assert predictor.rank_texts(paths[0], ["b", "c", "a"])[0].text == "c"
    predictor.build_image_database(gallery)
    assert Path(predictor.search_database("red", top_k=1)[0].path).name == "11.png"


def _search(index: Index, predictor: Predictor, query: str, paths: list[Path]) -> Sequence[SearchResult]:
    return index.search(parse_query(query), top_k=50)


def _search_batch(index: Index, predictor: Predictor, query: str, paths: list[Path]) -> Sequence[SearchResult]:
    return index.search_batch([parse_query("red"), parse_query(query)], top_k=50)[1]


def _rank(index: Index, predictor: Predictor, query: str, paths: list[Path]) -> Sequence[SearchResult]:
    return predictor.rank_images(query, paths)


@pytest.mark.parametrize("way", [_search, _search_batch, _rank])
def test_every_way_agrees(
    way: Callable[..., Sequence[SearchResult]], index: Index, encoder: Encoder, gallery: Path
) -> None:
    """The same gallery gives the same ranking and relevance, and unknown words have no good match."""
    predictor, paths = Predictor(encoder), sorted(gallery.rglob("*.png"))
    expected = predictor.rank_images("a red circle", paths)
    results = way(index, predictor, "a red circle", paths)
    assert [result.path for result in results] == [result.path for result in expected]
    for result, other in zip(results, expected, strict=True):
        assert (result.score, result.relevance) == pytest.approx((other.score, other.relevance), abs=1e-5)
    assert {result.relevance for result in way(index, predictor, "xyzzy, plugh!", paths)} == {0.0}
    assert {result.relevance for result in way(index, predictor, str(paths[0]), paths)} == {None}
