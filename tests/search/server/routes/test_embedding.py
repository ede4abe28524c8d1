"""Vectors over HTTP."""

from __future__ import annotations

import numpy as np
import pytest

from imtext.search import Encoder
from tests.search.server.conftest import Server

pytestmark = pytest.mark.slow


def test_embeddings_and_ranking(server: Server, encoder: Encoder) -> None:
    texts = ["a red circle", "two blue stars", "nothing at all"]
    answer = server.post("/embed/text", json={"texts": texts}).json()
    np.testing.assert_allclose(answer["embeddings"], encoder.encode_texts(texts), atol=1e-5)
    assert answer["fingerprint"] == server.index.bundle.fingerprint
    id = server.ids()[4]
    content = server.get(f"/images/{id}").content
    image = np.array(server.post("/embed/image", data=content).json()["embedding"])
    ranked = server.post("/rank", json={"id": id, "texts": texts}).json()["results"]
    scores = np.array(answer["embeddings"]) @ image
    assert [one["text"] for one in ranked] == [texts[place] for place in np.argsort(-scores)]
    np.testing.assert_allclose([one["score"] for one in ranked], np.sort(scores)[::-1], atol=1e-5)
    ids = server.ids()[:6]
    searched = server.get("/search", params={"q": texts[0], "top_k": 30, "min_relevance": 0}).json()["results"]
    ranked = server.post("/rank", json={"query": texts[0], "ids": ids}).json()["results"]
    assert [one["id"] for one in ranked] == [one["id"] for one in searched if one["id"] in ids]
