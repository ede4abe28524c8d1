"""Near duplicates over HTTP: folded in searches, opened by id, and in groups."""

from __future__ import annotations

import pytest

from tests.search.photos import scene
from tests.search.server.conftest import Start, wait_until

pytestmark = pytest.mark.slow


def test_folded_opened_and_grouped(start: Start) -> None:
    server = start()
    for number in range(2):
        scene(number).save(server.pictures / f"scene {number}.png")
        scene(number).resize((160, 120)).save(server.pictures / f"small {number}.jpg")
    server.index.update()
    wait_until(lambda: server.get("/info").json()["pictures"] == 34)
    every = "/search?q=red&top_k=100&min_relevance=0"
    shown = {one["name"]: one for one in server.get(every).json()["results"]}
    (best,) = (name for name in shown if name in ("scene 0.png", "small 0.jpg"))
    assert shown[best]["near_duplicates"] == 1
    assert len(server.get(f"{every}&fold=false").json()["results"]) == 34 > len(shown)
    body = {"query": "red", "top_k": 100, "min_relevance": 0, "fold": False}
    assert len(server.post("/search", json=body).json()["results"]) == 34
    (other,) = server.get(f"/pictures/{shown[best]['id']}/duplicates").json()["pictures"]
    assert {other["name"], best} == {"scene 0.png", "small 0.jpg"}
    whole = server.get("/duplicates").json()
    names = [[one["name"] for one in group] for group in whole["groups"]]
    assert sorted(group for group in names if group[0].startswith("scene")) == [
        ["scene 0.png", "small 0.jpg"],
        ["scene 1.png", "small 1.jpg"],
    ]
    assert [one["width"] for one in whole["groups"][0]] == [320, 160]
    second = server.get("/duplicates?offset=1&limit=1").json()
    assert second == {"groups": whole["groups"][1:2], "total": whole["total"]}
    assert server.get(f"/pictures/{'0' * 32}/duplicates").status_code == 404
    assert server.get("/pictures/x/duplicates").status_code == 422
