"""Errors as RFC 9457 responses."""

from __future__ import annotations

import asyncio

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from imtext.errors import StoreError
from imtext.search.server import problems
from tests.search.server.conftest import Server

pytestmark = pytest.mark.slow


def test_bad_bodies(server: Server) -> None:
    def post(**options: object) -> tuple[int, str]:
        answer = server.post("/search", **options)
        return answer.status_code, answer.json()["detail"]

    assert post(data=b"{", headers={"content-type": "application/json"})[0] == 400
    assert post(json={"query": "a", "topk": 3})[0] == 422
    assert post(data=b'{"query": "\\ud800"}', headers={"content-type": "application/json"})[0] in (200, 422)
    assert post(data=b" " * 1_000_001)[0] == 413
    assert server.post("/rank", json={"query": "a", "ids": ["f" * 32]}).status_code == 404


def test_a_store_that_does_not_answer(caplog: pytest.LogCaptureFixture) -> None:
    request = Request({"type": "http"})
    answer = asyncio.run(problems._on_store_error(request, StoreError("lance+s3://b cannot be read: timeout")))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert b"lance" not in answer.body, "clients do not learn where it is"
    assert "cannot be read: timeout" in caplog.text


def test_a_file_that_cannot_be_read(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(HTTPException) as caught, problems.readable("/srv/private/a.jpg"):
        raise OSError(5, "no answer of http://store.internal:9000")
    assert (caught.value.status_code, caught.value.detail) == (404, "The file of this picture cannot be read now.")
    assert "'/srv/private/a.jpg' cannot be read: [Errno 5] no answer of http://store.internal:9000" in caplog.text
