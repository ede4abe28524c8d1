"""How a running server bears load: ``python scripts/load_test.py http://127.0.0.1:8000 --rate 200``.

Requests leave at the given rate whether or not earlier ones have been answered, as those of many people do; a client
that waits for each answer would hide every delay behind its own waiting. A time counts from the moment a request should
have left.
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


class Line(asyncio.Protocol):
    """One connection, one request at a time; a general client would cost more than what is measured."""

    def __init__(self) -> None:
        self._buffer = b""
        self._answer: asyncio.Future[int] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def ask(self, request: bytes) -> asyncio.Future[int]:
        """Send; the status comes when all of the answer has."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        if self._transport.is_closing():
            self._answer.set_result(0)
        else:
            self._transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        """Collect until the declared length is there."""
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        if len(body) >= length and self._answer is not None and not self._answer.done():
            self._buffer = b""
            self._answer.set_result(int(head[9:12]))

    def connection_lost(self, exc: Exception | None) -> None:
        """An unanswered request counts as failed."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(0)

    @property
    def alive(self) -> bool:
        """Can it be used again?"""
        return self._transport is not None and not self._transport.is_closing()


async def load(host: str, port: int, rate: float, seconds: float, top_k: int) -> list[tuple[int, float]]:
    """(status, seconds) of every request."""
    loop = asyncio.get_running_loop()
    requests = [
        f"GET /search?q={quote(f'a {one} {two} {three}')}&top_k={top_k} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        for one in WORDS
        for two in WORDS
        for three in WORDS
    ]
    idle: list[Line] = []
    results: list[tuple[int, float]] = []

    async def one(number: int, due: float) -> None:
        try:
            line = idle.pop() if idle else (await loop.create_connection(Line, host, port))[1]
        except OSError:
            results.append((0, loop.time() - due))
            return
        status = await line.ask(requests[number % len(requests)])
        results.append((status, loop.time() - due))
        if line.alive:
            idle.append(line)

    gc.disable()  # the sender's own pauses are not the server's
    under_way: set[asyncio.Task[None]] = set()
    begin = loop.time()
    for number in range(int(rate * seconds)):
        due = begin + number / rate
        if (early := due - loop.time()) > 0:
            await asyncio.sleep(early)
        task = asyncio.create_task(one(number, due))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    await asyncio.gather(*under_way)
    gc.enable()
    return results


def report(results: list[tuple[int, float]], seconds: float) -> dict[str, float]:
    """Print and return what happened."""
    answered = sorted(spent for status, spent in results if status == 200)
    refused = sorted(spent for status, spent in results if status == 503)
    failed = len(results) - len(answered) - len(refused)

    def at(times: list[float], share: float) -> float:
        return 1000 * times[min(len(times) - 1, int(share * len(times)))] if times else float("nan")

    figures = {
        "answered_per_second": len(answered) / seconds, "p50_ms": at(answered, 0.5), "p99_ms": at(answered, 0.99),
        "refused": len(refused), "refused_p50_ms": at(refused, 0.5), "refused_p99_ms": at(refused, 0.99),
        "failed": failed,
    }  # fmt: skip
    print(
        f"{len(results):,} searches: {figures['answered_per_second']:.0f}/s answered, p50 {figures['p50_ms']:.1f} ms, "
        f"p99 {figures['p99_ms']:.1f} ms; {len(refused):,} refused, p50 {figures['refused_p50_ms']:.1f} ms, "
        f"p99 {figures['refused_p99_ms']:.1f} ms; {failed} failed"
    )
    return figures


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("url", nargs="?", default="http://127.0.0.1:8000")
    parser.add_argument("--rate", type=float, default=200, help="searches a second (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--top-k", type=int, default=10)
    parser.add_argument("--pid", type=int, help="of the server on this machine: print its memory before and after")
    parser.add_argument("--json", type=Path, help="write every figure to this file")
    args = parser.parse_args()
    where = urlsplit(args.url)
    memory: Callable[[], str] = lambda: ""  # noqa: E731
    if args.pid:
        import psutil

        if not psutil.pid_exists(args.pid):
            raise SystemExit(f"error: --pid {args.pid} is no process")
        process = psutil.Process(args.pid)
        memory = lambda: f"{process.memory_info().rss / 1e6:.0f} MB"  # noqa: E731
    with urlopen(f"{args.url}/info") as answer:
        pictures = json.load(answer)["pictures"]
    print(f"{pictures:,} pictures; {args.rate:.0f} searches/s for {args.seconds:.0f} s {memory()}")
    started = time.perf_counter()
    results = asyncio.run(load(where.hostname or "127.0.0.1", where.port or 80, args.rate, args.seconds, args.top_k))
    figures = report(results, time.perf_counter() - started)
    print(memory())
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
