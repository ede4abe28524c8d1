"""Health, facts and metrics."""

from __future__ import annotations

import pytest

from tests.search.server.conftest import Server

pytestmark = pytest.mark.slow


def test_state(server: Server) -> None:
    assert server.get("/health").json() == server.get("/ready").json() == {"status": "ok"}
    info = server.get("/info").json()
    assert (info["pictures"], info["fingerprint"]) == (30, server.index.bundle.fingerprint)
    update = server.get("/update").json()
    assert (update["running"], update["pictures"], update["types"], update["refused"]) == (False, 30, {}, {})
    assert update["version"] == server.get("/timeline").json()["version"]
    server.get("/search?q=red")
    text = server.get("/metrics").text
    assert "imtext_pictures 30.0" in text
    assert 'imtext_requests_total{route="/search",status="200"}' in text
    openapi = server.get("/openapi.json").json()
    assert {"/search", "/search/image", "/rank", "/embed/text", "/embed/image", "/images/{id}"} <= set(openapi["paths"])
