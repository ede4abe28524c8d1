"""Search and ranking over HTTP."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from imtext.search import Bundle, parse_filters, parse_query
from imtext.training.checkpoints import TrainedModel
from tests.conftest import changed_bundle
from tests.search.server.conftest import Server, Start, bomb, raw

pytestmark = pytest.mark.slow


def test_search_is_that_of_the_index(server: Server) -> None:
    query = "a red circle + 2:star"
    expected = server.index.search(parse_query(query), 5)
    for answer in (
        server.get("/search", params={"q": query, "top_k": 5, "min_relevance": 0}),
        server.post("/search", json={"query": query, "top_k": 5, "min_relevance": 0}),
    ):
        assert answer.status_code == 200
        found = answer.json()
        assert [one["id"] for one in found["results"]] == [one.id for one in expected]
        assert [one["name"] for one in found["results"]] == [Path(one.path).name for one in expected]
        np.testing.assert_allclose(
            [one["score"] for one in found["results"]], [one.score for one in expected], atol=1e-5
        )
        assert found["total"] == 30
    all_relevance = server.get("/search", params={"q": query, "top_k": 30, "min_relevance": 0}).json()["results"]
    middle = all_relevance[10]["relevance"]
    cut = server.get("/search", params={"q": query, "top_k": 30, "min_relevance": middle}).json()["results"]
    assert cut == [one for one in all_relevance if one["relevance"] >= middle]
    assert server.get("/search", params={"q": "a zorkmid"}).json()["unknown_words"] == ["zorkmid"]
    assert server.get("/search", params={"q": "zorkmid", "min_relevance": 1e-9}).json()["results"] == []


def test_words_in_names(server: Server) -> None:
    named = {"q": "07", "min_relevance": 1}
    for answer in (
        server.get("/search", params=named),
        server.post("/search", json={"query": "07", "min_relevance": 1}),
    ):
        (result,) = answer.json()["results"]
        assert (result["name"], result["relevance"], result["found_by"]) == ("07.png", None, ["file name"])
    assert server.get("/search", params={**named, "words": False}).json()["results"] == []
    assert server.post("/search", json={"query": "07", "min_relevance": 1, "words": False}).json()["results"] == []
    assert {tuple(one["found_by"]) for one in server.get("/search?q=red&min_relevance=0").json()["results"]} == {
        ("picture",)
    }


def test_filters_are_those_of_the_index(server: Server) -> None:
    newest = server.index.newest(5)
    for answer in (server.get("/search?sort=date&top_k=5"), server.post("/search", json={"sort": "date", "top_k": 5})):
        results = answer.json()["results"]
        assert [one["id"] for one in results] == [one.id for one in newest]
        assert [one["date"] for one in results] == [one.date for one in newest]
        assert {(one["date_from"], one["place"], one["score"]) for one in results} == {("file", None, None)}
    square = parse_filters(orientation="square"), {"in": "pictures", "orientation": "square"}
    for parsed, filters in (square, (parse_filters(after="2100"), {"after": "2100"})):
        expected = server.index.search(parse_query("red"), filters=parsed)
        for answer in (
            server.get("/search", params={"q": "red", **filters}),
            server.post("/search", json={"query": "red", **filters}),
        ):
            assert [one["id"] for one in answer.json()["results"]] == [one.id for one in expected]
    like = newest[0].id
    assert server.get("/search", params={"like": like, "in": "nowhere"}).json()["results"] == []
    upload = (server.pictures / "07.png").read_bytes()
    assert server.post("/search/image?in=nowhere", data=upload).json()["results"] == []
    assert server.get("/search", params={"in": str(server.pictures)}).json()["results"] == [], (
        "no paths of this machine"
    )


@pytest.mark.parametrize(
    ("parameters", "detail"),
    [
        ({"q": "red", "after": "2024-13"}, "after: '2024-13' has no month 13"),
        ({"q": "red", "orientation": "round"}, "orientation: Input should be 'portrait', 'landscape' or 'square'"),
        ({"q": "red", "in": "x" * 301}, "in: String should have at most 300 characters"),
        ({"within": "5km"}, "needs a place"),
        ({"sort": "relevance"}, "or only filters"),
    ],
)
def test_filters_that_are_wrong(server: Server, parameters: dict[str, str], detail: str) -> None:
    answer = server.get("/search", params=parameters)
    assert (answer.status_code, detail in answer.json()["detail"]) == (422, True), answer.text


def test_results_below_the_threshold_of_the_model_are_left_out(start: Start, bundle: Bundle, tmp_path: Path) -> None:
    usual, words = bundle.manifest["calibration"], "a red circle"
    relevance = [one.relevance or 0 for one in start().index.search(parse_query(words), 30)]
    middle = relevance[12]
    server = start(model=changed_bundle(bundle, tmp_path / "b", calibration={**usual, "min_relevance": middle}))
    query, body = {"q": words, "top_k": "30"}, {"query": words, "top_k": 30}
    found = server.get("/search", params=query).json()["results"]
    assert 13 <= len(found) < 30
    assert [one["relevance"] for one in found] == [one for one in relevance if one >= middle]
    assert server.post("/search", json=body).json()["results"] == found
    assert server.post("/search", json={**body, "min_relevance": None}).json()["results"] == found
    assert len(server.get("/search", params={**query, "min_relevance": "0"}).json()["results"]) == 30
    assert len(server.post("/search", json={**body, "min_relevance": 0}).json()["results"]) == 30
    like = {"like": found[0]["id"], "top_k": 30}
    assert len(server.get("/search", params=like).json()["results"]) == 30


def test_unknown_words_have_no_good_match(server: Server) -> None:
    assert server.get("/search?q=zorkmid").json()["results"] == []
    ids = [result["id"] for result in server.get("/search?q=zorkmid&top_k=3&min_relevance=0").json()["results"]]
    assert len(ids) == 3
    ranked = server.post("/rank", json={"query": "zorkmid", "ids": ids}).json()["results"]
    assert [result["relevance"] for result in ranked] == [0, 0, 0]
    ranked = server.post("/rank", json={"id": ids[0], "texts": ["zorkmid", "a red circle"]}).json()["results"]
    assert {result["text"]: result["relevance"] == 0 for result in ranked} == {"zorkmid": True, "a red circle": False}


def test_words_that_the_model_does_not_read_are_named(server: Server) -> None:
    query = "a zorkmid " + "a red circle above a blue star " * 12 + "ring"
    found = server.get("/search", params={"q": query}).json()
    assert found["unknown_words"] == ["zorkmid"]
    assert found["cut_words"][-2:] == ["star", "ring"]
    assert len(found["cut_words"]) < len(query.split())
    ranked = server.post("/rank", json={"query": query, "ids": [found["results"][0]["id"]]}).json()
    assert [ranked[name] for name in ("unknown_words", "cut_words")] == [found["unknown_words"], found["cut_words"]]
    short = server.post("/rank", json={"query": "a star", "ids": [found["results"][0]["id"]]}).json()
    assert short["unknown_words"] == short["cut_words"] == []


def test_a_picture_finds_itself(server: Server) -> None:
    path = server.pictures / "07.png"
    uploaded = server.post("/search/image?top_k=3", data=path.read_bytes()).json()["results"]
    assert (uploaded[0]["name"], round(uploaded[0]["score"], 4), uploaded[0]["relevance"]) == ("07.png", 1, None)
    assert server.get("/search", params={"like": uploaded[0]["id"], "top_k": 3}).json()["results"] == uploaded


@pytest.mark.parametrize(
    "query",
    [
        "🐕🌊", "كلب على الشاطئ", "a\x00b\x1b[31m\x7f", "x" * 2000, "/etc/passwd.jpg", "../../secret.png", "-", "%s %n",
        "' OR 1=1 --",
    ],
)  # fmt: skip
def test_strange_queries_are_words(server: Server, query: str) -> None:
    answer = server.get("/search", params={"q": query})
    assert answer.status_code in (200, 422)  # a lone sign is nothing to look for
    assert "cannot be read" not in answer.text  # nobody tried to open anything


def test_a_path_of_a_picture_is_words(server: Server) -> None:
    answer = server.get("/search", params={"q": str(server.pictures / "00.png"), "min_relevance": 0})
    assert answer.ok
    relevance = [one["relevance"] for one in answer.json()["results"]]
    assert len(relevance) == 10
    assert None not in relevance, "as if a picture had been asked for"


@pytest.mark.parametrize(
    ("options", "detail"),
    [
        ({"q": ""}, "at least 1 character"), ({"q": "  "}, "empty"), ({"q": "x" * 2001}, "at most 2000"),
        ({}, "either q=<words> or like=<id"), ({"q": "a", "top_k": 0}, "greater than or equal to 1"),
        ({"q": "a", "top_k": 10**9}, "less than or equal to 1000"), ({"q": "a", "top_k": "many"}, "valid integer"),
        ({"q": "a", "min_relevance": "nan"}, "finite"), ({"q": "a", "min_relevance": -1}, "greater than"),
        ({"q": "red - red"}, "cancel"), ({"q": "1000:dog"}, "weight"), ({"like": "../../etc/passwd"}, "pattern"),
    ],
)  # fmt: skip
def test_bad_queries(server: Server, options: dict[str, object], detail: str) -> None:
    answer = server.get("/search", params=options)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert detail in answer.json()["detail"]


def test_bad_uploads(server: Server) -> None:
    assert "no picture" in server.post("/search/image").json()["detail"]
    for content in (b"a letter", bomb(), (server.pictures / "00.png").read_bytes()[:200]):
        answer = server.post("/search/image", data=content)
        assert answer.status_code == 422
        assert "cannot be read" in answer.json()["detail"]
    assert "limit" in server.post("/embed/image", data=bomb()).json()["detail"]
    assert raw(server, "POST /search/image", "Content-Length: 20000001").startswith(b"HTTP/1.1 413")


def test_a_second_look(start: Start, reranked: tuple[TrainedModel, Bundle]) -> None:
    server, words = start(model=reranked[1]), "a red circle to the left of a big blue star"
    assert server.get("/info").json()["rerank_top_k"] == 50
    facts = reranked[1].reranker
    assert facts is not None
    assert facts.calibration is not None
    assert server.get("/info").json()["min_relevance"] == facts.calibration.min_relevance
    for rerank in (None, 0, 8):
        expected = server.index.search(parse_query(words), 30, rerank_top_k=rerank)
        more = {} if rerank is None else {"rerank_top_k": rerank}
        every = {"top_k": 30, "min_relevance": 0, **more}
        ids = [one.id for one in expected]
        for answer in (
            server.get("/search", params={"q": words, **every}),
            server.post("/search", json={"query": words, **every}),
            server.post("/rank", json={"query": words, "ids": sorted(ids), **more}),
        ):
            assert answer.status_code == 200, answer.text
            assert [one["id"] for one in answer.json()["results"]] == ids
    assert "is above the limit of this server, 200" in server.get("/search?q=red&rerank_top_k=201").text
    assert server.get("/search?q=red&rerank_top_k=1001").status_code == 422


def test_a_second_look_needs_a_reranker(server: Server) -> None:
    assert server.get("/info").json()["rerank_top_k"] is None
    answer = server.get("/search?q=red&rerank_top_k=5")
    assert (answer.status_code, "has no re-ranker" in answer.json()["detail"]) == (422, True)
    ids = server.ids()[:2]
    answer = server.post("/rank", json={"query": "red", "ids": ids, "rerank_top_k": 5})
    assert (answer.status_code, "has no re-ranker" in answer.json()["detail"]) == (422, True)
