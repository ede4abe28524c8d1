"""Load: requests are batched, and refused when the queue is full."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.search.server.conftest import Server

pytestmark = pytest.mark.slow


def test_too_many_are_refused_at_once_and_the_rest_answered(server: Server) -> None:
    def ask(number: int) -> requests.Response:
        return server.get("/search", params={"q": f"a red circle {'and a star ' * 20} {number}"})

    with ThreadPoolExecutor(80) as pool:
        answers = list(pool.map(ask, range(400)))
    assert {one.status_code for one in answers} <= {200, 503}
    assert sum(one.status_code == 200 for one in answers) > 50
    refused = [one for one in answers if one.status_code == 503]
    assert refused
    assert all(one.headers["retry-after"] == "1" for one in refused)
    assert server.get("/search?q=red").ok
