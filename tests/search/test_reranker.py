"""The re-ranker of a bundle, through everything that searches, compared with torch."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from imtext.data.pictures import normalize
from imtext.errors import BundleError, SearchError
from imtext.search import Bundle, Encoder, Index, Predictor, Query, SearchResult, create_predictor, parse_query
from imtext.search.bundle import calibrate_bundle, load_bundle
from imtext.search.index import SearchOptions
from imtext.search.query import embed_queries
from imtext.search.ranking import CalibratedReranker, Candidates, Scores, rank
from imtext.search.reranker import BundleReranker, can_rerank, candidates_to_rerank, has_grids, keeps_grids
from imtext.search.server.limits import Limits
from imtext.search.server.service import Service, TextSearch
from imtext.search.store import register_store
from imtext.training.checkpoints import TrainedModel
from tests.cli.conftest import imtext
from tests.conftest import changed_bundle, picture
from tests.search.store.memory import SCHEME, MemoryStore

register_store(SCHEME, MemoryStore)

WORDS, DEPTH = "a red circle to the left of a big blue star", 7
Reranked = tuple[TrainedModel, Bundle]


@pytest.fixture(scope="module")
def second_look(reranked: Reranked) -> Encoder:
    return Encoder(reranked[1], threads=1)


@pytest.fixture(params=["folder", "memory"])
def index(request: pytest.FixtureRequest, reranked: Reranked, gallery: Path, tmp_path: Path) -> Index:
    """Twelve drawings with stored grids, in every store."""
    store = f"memory://{tmp_path}" if request.param == "memory" else None
    opened = Index.create(tmp_path / "index", reranked[1], store=store)
    opened.update([str(gallery)])
    return opened


@torch.inference_mode()
def by_torch(trained: TrainedModel, paths: Sequence[Path], depth: int = DEPTH) -> list[tuple[str, float]]:
    """Path and score of each picture: the best by similarity in the order of the re-ranker, then the others."""
    assert trained.reranker is not None
    images = [Image.open(path).convert("RGB") for path in paths]
    pixels = np.stack([trained.preprocess.pixels(image) for image in images])
    tokens = trained.model.image_encoder.tokens(
        normalize(torch.from_numpy(pixels).permute(0, 3, 1, 2), trained.preprocess)
    )
    similarity = trained.encode_images(images) @ trained.encode_texts([WORDS])[0]
    ids, mask = map(torch.from_numpy, trained.tokenizer([WORDS]))
    order = similarity.argsort(descending=True)
    best, rest = order[:depth], order[depth:]
    again = trained.reranker(trained.reranker.project(tokens[best])[None], ids, mask, similarity[best][None])[0]
    order = again.argsort(descending=True)
    scored = [*zip(best[order], again[order], strict=True), *zip(rest, similarity[rest], strict=True)]
    return [(str(paths[int(place)]), float(score)) for place, score in scored]


def by_index(index: Index, gallery: Path) -> list[tuple[str, float]]:
    found = index.search(parse_query(WORDS), 50, rerank_top_k=DEPTH)
    return [(result.path, result.score) for result in found]


def by_batch(index: Index, gallery: Path) -> list[tuple[str, float]]:
    found = index.search_batch([parse_query("star"), parse_query(WORDS)], 50, rerank_top_k=DEPTH)[1]
    return [(result.path, result.score) for result in found]


def by_predictor(index: Index, gallery: Path) -> list[tuple[str, float]]:
    predictor = create_predictor(index.bundle.path, rerank_top_k=DEPTH)
    predictor.build_image_database(gallery)
    return [(result.path, result.score) for result in predictor.search_database(WORDS, 50)]


def by_ranking(index: Index, gallery: Path) -> list[tuple[str, float]]:
    found = create_predictor(index.bundle.path).rank_images(WORDS, sorted(gallery.rglob("*.png")), rerank_top_k=DEPTH)
    return [(result.path, result.score) for result in found]


def by_command_line(index: Index, gallery: Path) -> list[tuple[str, float]]:
    folder = gallery.parent / "by command line"
    imtext("index", gallery, "--index", folder, "--bundle", index.bundle.path)
    options = ("--rerank-top-k", str(DEPTH), "--min-relevance", "0", "--json", "-k", "50")
    rows = json.loads(imtext("search", WORDS, "--index", folder, *options).stdout)
    return [(row["path"], row["score"]) for row in rows]


def by_ranking_on_the_command_line(index: Index, gallery: Path) -> list[tuple[str, float]]:
    options = ("--bundle", index.bundle.path, "--rerank-top-k", str(DEPTH), "--json")
    rows = json.loads(imtext("rank", WORDS, *sorted(gallery.rglob("*.png")), *options).stdout)
    return [(row["path"], row["score"]) for row in rows]


def by_service(index: Index, gallery: Path) -> list[tuple[str, float]]:
    service = Service(index.folder, Limits())
    options = SearchOptions(50, 0.0, DEPTH), SearchOptions(3, 0.0, 0)
    (found, _) = service._search([TextSearch(parse_query(WORDS), each) for each in options])
    service.close()
    assert not isinstance(found, Exception)
    return [(result.path, result.score) for result in found.results]


def by_service_ranking(index: Index, gallery: Path) -> list[tuple[str, float]]:
    service = Service(index.folder, Limits())
    paths = {result.id: result.path for result in service.list_pictures(0, 50)}
    found = service.rank_pictures(WORDS, list(paths), DEPTH)
    service.close()
    return [(list(paths.values())[match.place], match.score) for match in found]


WAYS = [
    by_index, by_batch, by_predictor, by_ranking, by_command_line, by_ranking_on_the_command_line, by_service,
    by_service_ranking,
]  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_every_way_ranks_as_torch(
    way: Callable[[Index, Path], list[tuple[str, float]]], index: Index, reranked: Reranked, gallery: Path
) -> None:
    expected = by_torch(reranked[0], sorted(gallery.rglob("*.png")))
    found = way(index, gallery)
    assert [path for path, _ in found] == [path for path, _ in expected]
    assert [score for _, score in found] == pytest.approx([score for _, score in expected], abs=5e-3)
    plain = [result.path for result in index.search(parse_query(WORDS), 50, rerank_top_k=0)]
    assert plain[DEPTH:] == [path for path, _ in found[DEPTH:]]
    assert plain[:DEPTH] != [path for path, _ in found[:DEPTH]]


def test_by_default_as_many_as_the_bundle_says(index: Index) -> None:
    terms = parse_query(WORDS)
    assert index.search(terms, 12) == index.search(terms, 12, rerank_top_k=50)
    assert index.search(terms, 2) == index.search(terms, 12)[:2], "more candidates than results"
    off = index.search(terms, 12, rerank_top_k=0)
    assert [result.score for result in off] == sorted((result.score for result in off), reverse=True)


def test_without_a_second_look_as_a_bundle_without_a_reranker(
    index: Index, bundle: Bundle, gallery: Path, tmp_path: Path
) -> None:
    plain = Index.create(tmp_path / "plain", bundle)
    plain.update([str(gallery)])
    for query in (WORDS, "star + 2:ring", str(gallery / "03.png"), "xyzzy"):
        expected = plain.search(parse_query(query), 12)
        off = index.search(parse_query(query), 12, rerank_top_k=0)
        assert [result.path for result in off] == [result.path for result in expected]
        for result, other in zip(off, expected, strict=True):
            assert result.score == pytest.approx(other.score, abs=1e-5)
            assert (result.relevance is None) == (other.relevance is None)


@pytest.mark.parametrize("query", ["red - circle", "red + star", "- red", "xyzzy plugh", "{picture}"])
def test_other_queries_keep_their_order(index: Index, gallery: Path, query: str) -> None:
    terms = parse_query(query.format(picture=gallery / "03.png"))
    assert not can_rerank(embed_queries([terms], index.encoder)[0])
    assert index.search(terms, 12) == index.search(terms, 12, rerank_top_k=0)


def test_a_weighted_text_is_ranked_again(index: Index) -> None:
    heavy, light = (index.search(parse_query(query), 12) for query in (f"3:{WORDS}", WORDS))
    assert [result.path for result in heavy] == [result.path for result in light]


def test_queries_of_one_batch_are_as_alone(index: Index) -> None:
    options = [
        SearchOptions(top_k, least, rerank)
        for top_k in (1, 5, 50)
        for least in (0.0, 0.5, None)
        for rerank in (0, 1, 3, 50, None)
    ]
    queries = embed_queries([parse_query((WORDS, "star", "red - ring")[row % 3]) for row in range(45)], index.encoder)
    together = index.search_each(queries, options)
    for query, one, found in zip(queries, options, together, strict=True):
        alone = index.search_queries([query], one.top_k, one.min_relevance, one.rerank_top_k)[0]
        assert [result.path for result in found] == [result.path for result in alone]
        assert [result.score for result in found] == pytest.approx([result.score for result in alone], abs=1e-6)


def test_relevance_is_that_of_the_scores(index: Index) -> None:
    facts, dual = index.bundle.reranker, index.bundle.calibration
    assert facts is not None
    assert facts.calibration is not None
    assert dual is not None
    found = index.search(parse_query(WORDS), 12, rerank_top_k=DEPTH)
    mean = np.mean([result.score for result in index.search(parse_query(WORDS), 12, rerank_top_k=0)])
    for place, result in enumerate(found):
        calibration = facts.calibration if place < DEPTH else dual
        expected = float(calibration.relevance(np.array(result.score), float(mean), 12))
        if place >= DEPTH:  # at most that of the worst picture that was scored again
            expected = min(expected, *(one.relevance or 0 for one in found[:DEPTH]))
        assert result.relevance == pytest.approx(expected, abs=1e-4)
    for words, calibration in ((WORDS, facts.calibration), ("red + star", dual)):
        found = index.search(parse_query(words), 12)
        shown = [one for one in found if one.relevance is not None and one.relevance >= calibration.min_relevance]
        assert index.search(parse_query(words), 12, min_relevance=None) == shown


# ---- grids


def check_grids(index: Index) -> None:
    """Every picture has exactly the grid of its file."""
    ids = index.store.ids()
    grids = index.store.grids(ids)
    assert sorted(grids) == ids
    for id, files in index.store.held(ids).items():
        pixels = index.bundle.preprocess.pixels(Image.open(files[0].path).convert("RGB"))
        expected = index.encoder.encode_images_and_grids([pixels])[1][0]
        np.testing.assert_allclose(grids[id], expected, atol=5e-3, rtol=2e-3)


def test_grids_follow_updates(index: Index, gallery: Path, reranked: Reranked) -> None:
    check_grids(index)
    (gallery / "01.png").rename(gallery / "renamed.png")
    (gallery / "02.png").unlink()
    picture(gallery / "03.png", 100)
    picture(gallery / "new.png", 101)
    (gallery / "copy.png").write_bytes((gallery / "04.png").read_bytes())
    report = index.update()
    assert (report.added, report.copies, len(report.renamed), len(index)) == (2, 1, 1, 12)
    check_grids(index)
    rebuilt = Index.create(index.folder, reranked[1], rebuild=True)
    assert rebuilt.store.ids() == []
    rebuilt.update()
    check_grids(rebuilt)


def test_removed_pictures_leave_no_grid(reranked: Reranked, gallery: Path, tmp_path: Path) -> None:
    index = Index.create(tmp_path / "index", reranked[1])
    index.update([str(gallery)])
    for path in gallery.glob("0[0-5].png"):
        path.unlink()
    index.update()
    with sqlite3.connect(tmp_path / "index" / "index.sqlite") as rows:
        assert rows.execute("SELECT count(*) FROM grids").fetchone() == (6,)


def test_an_index_of_another_bundle_has_no_table_of_grids(bundle: Bundle, gallery: Path, tmp_path: Path) -> None:
    index = Index.create(tmp_path / "index", bundle)
    index.update([str(gallery)])
    assert index.store.grids(index.store.ids()) == {}
    with sqlite3.connect(tmp_path / "index" / "index.sqlite") as rows:
        assert rows.execute("SELECT count(*) FROM sqlite_master WHERE name = 'grids'").fetchone() == (0,)


def test_without_stored_grids_the_files_are_read(
    index: Index, reranked: Reranked, gallery: Path, tmp_path: Path
) -> None:
    lean = Index.create(tmp_path / "lean", reranked[1])
    lean.update([str(gallery)], grids=False)
    assert (index.has_grids, lean.has_grids) == (True, False)
    stored, read = (each.search(parse_query(WORDS), 12, rerank_top_k=DEPTH) for each in (index, lean))
    assert [result.path for result in read] == [result.path for result in stored]
    assert [result.score for result in read] == pytest.approx([result.score for result in stored], abs=2e-3)
    first, second = read[0], read[1]
    Path(first.path).unlink()
    picture(Path(second.path), 1000)
    again = lean.search(parse_query(WORDS), 12, rerank_top_k=DEPTH)
    plain = {result.path: result.score for result in lean.search(parse_query(WORDS), 12, rerank_top_k=0)}
    moved = {result.path: result.score - plain[result.path] for result in again[:DEPTH]}
    gone = [moved.pop(first.path), moved.pop(second.path)]
    assert gone == pytest.approx([float(np.mean(list(moved.values())))] * 2, abs=1e-5), "on the scale of the others"
    assert [result.score for result in again[:DEPTH]] == sorted(
        (result.score for result in again[:DEPTH]), reverse=True
    )


def test_grids_are_kept_for_all_pictures_or_none(index: Index, bundle: Bundle, gallery: Path, tmp_path: Path) -> None:
    assert has_grids(index.store)
    assert keeps_grids(index.store, index.bundle, None)
    with pytest.raises(SearchError, match=r"have stored grids\. .*imtext index --rebuild --no-grids"):
        index.update(grids=False)
    lean = Index.create(tmp_path / "lean", index.bundle)
    assert has_grids(lean.store) is None
    lean.update([str(gallery)], grids=False)
    picture(gallery / "new.png", 100)
    lean.update()
    assert lean.store.grids(lean.store.ids()) == {}, "as it was begun"
    with pytest.raises(SearchError, match=r"have no stored grids\. .*--rebuild --grids"):
        lean.update(grids=True)
    assert not keeps_grids(index.store, bundle, None), "nothing to keep without a re-ranker"
    with pytest.raises(SearchError, match="has no re-ranker"):
        keeps_grids(index.store, bundle, True)


# ---- what is asked for


def test_numbers_out_of_bounds(index: Index, bundle: Bundle, encoder: Encoder) -> None:
    with pytest.raises(SearchError, match="rerank_top_k must be between 0 and 1,000, not 1001"):
        index.search(parse_query(WORDS), rerank_top_k=1001)
    with pytest.raises(SearchError, match="not -1"):
        index.search(parse_query(WORDS), rerank_top_k=-1)
    message = r"The model .* has no re-ranker.* To train one: python -m imtext\.rerank ckpt_path=best"
    with pytest.raises(SearchError, match=message):
        candidates_to_rerank(bundle, 1)
    with pytest.raises(SearchError, match=message):
        Predictor(encoder, rerank_top_k=50)
    with pytest.raises(SearchError, match=message):
        Predictor(encoder).rank_images("red", [], rerank_top_k=50)
    assert (candidates_to_rerank(bundle, None), candidates_to_rerank(bundle, 0)) == (0, 0)
    assert [candidates_to_rerank(index.bundle, number) for number in (None, 0, 7)] == [50, 0, 7]


def test_one_wrong_search_of_a_batch_is_refused_alone(bundle: Bundle, gallery: Path, tmp_path: Path) -> None:
    Index.create(tmp_path / "index", bundle).update([str(gallery)])
    service = Service(tmp_path / "index", Limits())
    batch = [TextSearch(parse_query("red"), SearchOptions(3, 0.0, rerank)) for rerank in (None, 5, 0)]
    first, second, third = service._search(batch)
    service.close()
    assert isinstance(second, SearchError)
    assert not isinstance(first, Exception)
    assert not isinstance(third, Exception)
    assert len(first.results) == len(third.results) == 3
    with pytest.raises(SearchError, match="rerank_top_k=201 is above the limit of this server, 200"):
        service.reranked(201)
    assert [service.reranked(number) for number in (None, 0, 200)] == [None, 0, 200]


class LastFirst:
    """A re-ranker of the user."""

    depth = 12

    def __call__(self, query: Query, names: Sequence[str], scores: Scores) -> Scores:
        return np.argsort(np.argsort(names)).astype(np.float32)


def test_a_reranker_of_the_user_takes_the_place_of_the_bundles(index: Index, gallery: Path) -> None:
    found: list[SearchResult] = Index(index.folder, reranker=LastFirst()).search(parse_query(WORDS), 12)
    assert [result.path for result in found] == sorted((result.path for result in found), reverse=True)
    predictor = Predictor(index.encoder, reranker=LastFirst())
    ranked = predictor.rank_images(WORDS, sorted(gallery.glob("*.png")))
    assert [result.path for result in ranked] == sorted((result.path for result in ranked), reverse=True)


def test_pictures_without_a_grid_come_to_the_scale_of_the_others(second_look: Encoder) -> None:
    facts = second_look.bundle.reranker
    assert facts is not None
    (query,) = embed_queries([parse_query(WORDS)], second_look)
    scores = np.array([0.3, 0.2, 0.1], dtype=np.float32)
    grid = np.random.default_rng(0).normal(size=facts.grid).astype(np.float16)
    reranker = BundleReranker(second_look, 3, facts.calibration, lambda names: [grid, None, grid])
    assert isinstance(reranker, CalibratedReranker)
    again = reranker(query, ["a", "b", "c"], scores)
    expected = second_look.rerank(WORDS, np.stack([grid, grid]), scores[[0, 2]])
    assert again[[0, 2]] == pytest.approx(expected, abs=1e-6)
    assert again[1] == pytest.approx(scores[1] + (expected - scores[[0, 2]]).mean(), abs=1e-6)
    nothing = replace(reranker, find_grids=lambda names: [None] * 3)
    assert np.isnan(nothing(query, ["a", "b", "c"], scores)).all()
    candidates = Candidates(["a", "b", "c"], scores, 0.0, 3)
    calibration = second_look.bundle.calibration
    assert rank(query, candidates, calibration, reranker=nothing) == rank(query, candidates, calibration)


def test_what_follows_is_no_more_relevant_than_what_was_scored_again(second_look: Encoder) -> None:
    facts = second_look.bundle.reranker
    assert facts is not None
    own = facts.calibration
    (query,) = embed_queries([parse_query(WORDS)], second_look)
    scores = np.array([0.9, 0.8, 0.7], dtype=np.float32)

    class Doubts:
        depth, calibration = 1, own

        def __call__(self, query: Query, names: Sequence[str], scores: Scores) -> Scores:
            return np.full_like(scores, -1)

    ranked = rank(query, Candidates(["a", "b", "c"], scores, 0.0, 3), second_look.bundle.calibration, reranker=Doubts())
    assert [match.place for match in ranked] == [0, 1, 2]
    assert ranked[0].relevance is not None
    assert [match.relevance for match in ranked[1:]] == [ranked[0].relevance] * 2


# ---- the bundle


def test_both_calibrations_are_replaced_together(reranked: Reranked, bundle: Bundle, tmp_path: Path) -> None:
    made = reranked[1]
    copy = changed_bundle(made, tmp_path / "copy")
    assert made.calibration is not None
    again = calibrate_bundle(copy, made.calibration)
    assert again.reranker is not None
    assert again.reranker.calibration is None, "the old one does not belong to the new one of the towers"
    again = calibrate_bundle(again, made.calibration, replace(made.calibration, bias=1.0))
    assert again.reranker is not None
    assert again.reranker.calibration == replace(made.calibration, bias=1.0)
    assert load_bundle(copy.path).fingerprint == made.fingerprint
    with pytest.raises(BundleError, match="describes a re-ranker and has no graph of it"):
        changed_bundle(bundle, tmp_path / "wrong", reranker=made.manifest["reranker"])
