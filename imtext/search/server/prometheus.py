"""Metrics for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from imtext.search.server.service import Service

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 10)  # seconds


def measure_service(service: Service) -> CollectorRegistry:
    """A registry with gauges of the index and the queues."""
    registry = CollectorRegistry()
    for name, text, value in (
        ("imtext_pictures", "Pictures in the index", service.total),
        ("imtext_reloads", "Times the index was read again", lambda: service.reloads),
        ("imtext_waiting_searches", "Text searches that wait for a batch", lambda: service.searches.waiting),
        ("imtext_pictures_at_work", "Requests that read, decode or rank pictures", lambda: service.running),
    ):
        Gauge(name, text, registry=registry).set_function(value)
    return registry


def request_observer(registry: CollectorRegistry) -> Callable[[str, int, float], None]:
    """A function that counts one request: its route, its status and its seconds."""
    requests = Counter("imtext_requests", "Requests answered", ["route", "status"], registry=registry)
    seconds = Histogram("imtext_request_seconds", "Time to answer", ["route"], registry=registry, buckets=BUCKETS)

    def observe(route: str, status: int, elapsed: float) -> None:
        requests.labels(route, status).inc()
        seconds.labels(route).observe(elapsed)

    return observe
