"""The timeline and pages of pictures by date."""

from __future__ import annotations

import os

import pytest

from tests.search.server.conftest import Server, Start

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def dated(start: Start) -> Server:
    """Thirty drawings: ten of each month from January to March 2020, an hour apart."""
    return start(prepare=lambda path: os.utime(path, (moment(int(path.stem)),) * 2))


def moment(number: int) -> float:
    """Seconds since 1970 of the middle of a month, in UTC."""
    return 1_579_000_000 + (number // 10) * 30 * 86_400 + (number % 10) * 3_600


def test_the_timeline_counts_what_the_pages_list(dated: Server) -> None:
    counts = dated.get("/timeline").json()
    assert counts["total"] == sum(group["pictures"] for group in counts["groups"]) == 30
    assert counts["by"] == "day"
    listed = dated.get("/pictures?limit=1000").json()
    assert listed["version"] == counts["version"]
    days = [one["date"][:10] for one in listed["results"]]
    assert days == sorted(days, reverse=True)
    assert {day: days.count(day) for day in days} == {one["date"]: one["pictures"] for one in counts["groups"]}
    assert {one["date_from"] for one in listed["results"]} == {"file"}
    assert {one["score"] for one in listed["results"]} == {None}


def test_pages(dated: Server) -> None:
    everything = [one["name"] for one in dated.get("/pictures?limit=30").json()["results"]]
    assert everything[0] == "29.png"
    names: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        answer = dated.get(f"/pictures?limit=7{f'&cursor={cursor}' if cursor else ''}").json()
        names += [one["name"] for one in answer["results"]]
        cursor = answer["next"]
    assert names == everything
    offset = dated.get("/pictures?limit=7&offset=20").json()["results"]
    assert [one["name"] for one in offset] == everything[20:27]
    assert dated.get("/pictures?offset=30").json()["results"] == []


def test_filters(dated: Server) -> None:
    counts = dated.get("/timeline?before=2020-02").json()
    assert counts["total"] == 10
    assert counts["groups"] == [{"date": "2020-01-14", "pictures": 10}]
    assert len(dated.get("/pictures?before=2020-02").json()["results"]) == 10
    assert dated.get("/timeline?camera=none").json()["groups"] == []
    for path in ("/timeline?after=x", "/pictures?cursor=x", "/pictures?limit=0"):
        assert dated.get(path).status_code == 422
