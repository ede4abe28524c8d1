"""Requests are counted by route and status."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from imtext.search.server.prometheus import request_observer


def test_requests_are_counted() -> None:
    registry = CollectorRegistry()
    observe = request_observer(registry)
    observe("/search", 200, 0.003)
    observe("/search", 503, 0.001)
    text = generate_latest(registry).decode()
    assert 'imtext_requests_total{route="/search",status="200"} 1.0' in text
    assert 'imtext_request_seconds_bucket{le="0.0025",route="/search"} 1.0' in text
