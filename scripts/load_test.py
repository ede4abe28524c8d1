"""Measure a running server under load: ``python scripts/load_test.py http://127.0.0.1:8000 --rate 200``.

Requests are sent at a fixed rate, whether or not earlier ones have been answered, as many independent users would do. A
client that waited for each response would hide delays of the server. Times are measured from the moment at which a
request was due.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, urlsplit
from urllib.request import urlopen

WORDS = ["dog", "girl", "man", "beach", "red", "ball", "runs", "snow", "water", "two", "bike", "grass", "jumps", "blue"]


class Connection(asyncio.Protocol):
    """A connection for one request at a time. A general HTTP client would take more time than the server."""

    def __init__(self) -> None:
        self._buffer = b""
        self._status: asyncio.Future[int] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def send(self, request: bytes) -> asyncio.Future[int]:
        """Send a request; the result is the HTTP status, once the whole response has arrived, or 0 on failure."""
        assert self._transport is not None
        self._status = asyncio.get_running_loop().create_future()
        if self._transport.is_closing():
            self._status.set_result(0)
        else:
            self._transport.write(request)
        return self._status

    def data_received(self, data: bytes) -> None:
        """Collect the response until it has the declared length."""
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        if len(body) >= length and self._status is not None and not self._status.done():
            self._buffer = b""
            self._status.set_result(int(head[9:12]))

    def connection_lost(self, exc: Exception | None) -> None:
        """Count an unanswered request as failed."""
        if self._status is not None and not self._status.done():
            self._status.set_result(0)

    @property
    def alive(self) -> bool:
        """Whether it can be used again."""
        return self._transport is not None and not self._transport.is_closing()


async def load(host: str, port: int, rate: float, seconds: float, top_k: int) -> list[tuple[int, float]]:
    """Send requests at a rate.

    Returns:
        The status and the seconds of every request; the status of a failed one is 0.
    """
    loop = asyncio.get_running_loop()
    requests = [
        f"GET /search?q={quote(f'a {first} {second} {third}')}&top_k={top_k} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        for first in WORDS
        for second in WORDS
        for third in WORDS
    ]
    idle: list[Connection] = []
    results: list[tuple[int, float]] = []

    async def request(number: int, due: float) -> None:
        try:
            connection = idle.pop() if idle else (await loop.create_connection(Connection, host, port))[1]
        except OSError:
            results.append((0, loop.time() - due))
            return
        status = await connection.send(requests[number % len(requests)])
        results.append((status, loop.time() - due))
        if connection.alive:
            idle.append(connection)

    gc.disable()  # pauses of this program must not count as the server's
    under_way: set[asyncio.Task[None]] = set()
    begin = loop.time()
    for number in range(int(rate * seconds)):
        due = begin + number / rate
        if (early := due - loop.time()) > 0:
            await asyncio.sleep(early)
        task = asyncio.create_task(request(number, due))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    await asyncio.gather(*under_way)
    gc.enable()
    return results


def report(results: list[tuple[int, float]], seconds: float) -> dict[str, float]:
    """Print and return counts and percentiles."""
    answered = sorted(spent for status, spent in results if status == 200)
    refused = sorted(spent for status, spent in results if status == 503)
    failed = len(results) - len(answered) - len(refused)

    def at(times: list[float], share: float) -> float:
        return 1000 * times[min(len(times) - 1, int(share * len(times)))] if times else float("nan")

    metrics = {
        "answered_per_second": len(answered) / seconds, "p50_ms": at(answered, 0.5), "p99_ms": at(answered, 0.99),
        "refused": len(refused), "refused_p50_ms": at(refused, 0.5), "refused_p99_ms": at(refused, 0.99),
        "failed": failed,
    }  # fmt: skip
    print(
        f"{len(results):,} searches: {metrics['answered_per_second']:.0f}/s answered, p50 {metrics['p50_ms']:.1f} ms, "
        f"p99 {metrics['p99_ms']:.1f} ms; {len(refused):,} refused, p50 {metrics['refused_p50_ms']:.1f} ms, "
        f"p99 {metrics['refused_p99_ms']:.1f} ms; {failed} failed"
    )
    return metrics


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("url", nargs="?", default="http://127.0.0.1:8000")
    parser.add_argument("--rate", type=float, default=200, help="searches per second (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--top-k", type=int, default=10)
    parser.add_argument(
        "--pid", type=int, help="process id of the server on this machine: print its memory before and after"
    )
    parser.add_argument("--json", type=Path, help="write all results to this file")
    args = parser.parse_args()
    where = urlsplit(args.url)
    memory: Callable[[], str] = lambda: ""  # noqa: E731
    if args.pid:
        import psutil

        if not psutil.pid_exists(args.pid):
            raise SystemExit(f"error: --pid {args.pid}: there is no such process")
        process = psutil.Process(args.pid)
        memory = lambda: f"{process.memory_info().rss / 1e6:.0f} MB"  # noqa: E731
    with urlopen(f"{args.url}/info") as answer:
        pictures = json.load(answer)["pictures"]
    print(f"{pictures:,} pictures; {args.rate:.0f} searches/s for {args.seconds:.0f} s {memory()}")
    started = time.perf_counter()
    results = asyncio.run(load(where.hostname or "127.0.0.1", where.port or 80, args.rate, args.seconds, args.top_k))
    metrics = report(results, time.perf_counter() - started)
    print(memory())
    if args.json:
        args.json.write_text(json.dumps(metrics, indent=2))


if __name__ == "__main__":
    main()
