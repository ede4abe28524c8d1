"""The speed and memory of a server under load.

Requests are sent at a fixed rate, whether or not earlier ones have been answered, as many independent users would do. A
client that waited for each response would hide delays of the server. Times are measured from the moment at which a
request was due.
"""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any
from urllib.parse import quote, urlsplit
from urllib.request import urlopen

import numpy as np
import psutil
from rich import box
from rich.console import Console
from rich.table import Table

from imtext.benchmark.searching import filled_index, random_unit
from imtext.errors import ImtextError
from imtext.search import Bundle

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

    def close(self) -> None:
        """Close it."""
        if self._transport is not None:
            self._transport.close()

    @property
    def alive(self) -> bool:
        """Whether it can be used again."""
        return self._transport is not None and not self._transport.is_closing()


async def load(host: str, port: int, rate: float, seconds: float) -> list[tuple[int, float]]:
    """Send searches at a rate.

    Returns:
        The status and the seconds of every request; the status of a failed one is 0.
    """
    loop = asyncio.get_running_loop()
    requests = [
        f"GET /search?q={quote(f'a {first} {second} {third}')}&top_k=10 HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
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
    try:
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
    finally:
        gc.enable()
        for connection in idle:
            connection.close()
    return results


def benchmark_serving(
    bundle: Bundle, size: int, rates: Sequence[float], seconds: float, seed: int = 0
) -> dict[str, Any]:
    """Start a server over random vectors, and send it searches at several rates.

    Server and client share the cores of this machine.

    Args:
        bundle: the model.
        size: number of pictures.
        rates: searches per second; a rate that the server cannot keep up with shows how it refuses.
        seconds: duration of each rate.
        seed: seed of the random vectors.

    Returns:
        `pictures`; `memory`, the server's resident memory in bytes at the end; `rates`: for each `rate` the searches
        `answered_per_second`, the numbers `refused` and `failed`, and the median and 99th percentile in milliseconds of
        those that were answered (`p50`, `p99`) and refused (`refused_p50`, `refused_p99`), None if there are none.

    Raises:
        ImtextError: the server did not start.
    """
    with TemporaryDirectory(prefix="imtext-benchmark-") as name:
        index = filled_index(
            Path(name) / "index", bundle, random_unit(np.random.default_rng(seed), size, bundle.embed_dim)
        )
        index.close()
        with _server(index.folder) as (url, process):
            with urlopen(f"{url}/info") as answer:
                pictures = json.load(answer)["pictures"]
            where = urlsplit(url)
            assert where.hostname and where.port  # noqa: PT018
            asyncio.run(load(where.hostname, where.port, 50, 2))  # the first searches load the model
            rows = []
            for rate in rates:
                started = time.perf_counter()
                results = asyncio.run(load(where.hostname, where.port, rate, seconds))
                rows.append({"rate": rate, **_summary(results, time.perf_counter() - started)})
            memory = psutil.Process(process).memory_info().rss
    return {"pictures": pictures, "memory": memory, "rates": rows}


@contextmanager
def _server(index: Path) -> Iterator[tuple[str, int]]:
    """The address and the process of a server over an index."""
    command = [sys.executable, "-m", "imtext", "serve", str(index), "--port", "0"]
    with (
        TemporaryFile("w+") as said,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True) as process,
    ):
        assert process.stdout is not None
        try:
            first = process.stdout.readline()
            if " at " not in first:
                process.terminate()
                process.wait()
                said.seek(0)
                raise ImtextError(f"imtext serve did not start: {first}{said.read()}")
            yield first.split(" at ")[1].split()[0], process.pid
        finally:
            process.terminate()


def _summary(results: list[tuple[int, float]], seconds: float) -> dict[str, Any]:
    answered = [1000 * spent for status, spent in results if status == 200]
    refused = [1000 * spent for status, spent in results if status == 503]

    def at(milliseconds: list[float], percentile: float) -> float | None:
        return float(np.percentile(milliseconds, percentile)) if milliseconds else None

    return {
        "answered_per_second": len(answered) / seconds, "p50": at(answered, 50), "p99": at(answered, 99),
        "refused": len(refused), "refused_p50": at(refused, 50), "refused_p99": at(refused, 99),
        "failed": len(results) - len(answered) - len(refused),
    }  # fmt: skip


def print_serving(found: dict[str, Any]) -> None:
    """Print the result of `benchmark_serving` as a table."""
    table = Table(
        box=box.SIMPLE_HEAD,
        title=f"A server over {found['pictures']:,} pictures; it shares its cores with the client",
        title_justify="left",
        padding=(0, 1, 0, 0),
    )
    for column in ("searches/s", "answered/s", "p50 ms", "p99 ms", "refused", "p50 ms", "p99 ms", "failed"):
        table.add_column(column, justify="right")
    for row in found["rates"]:
        times = [f"{row[name]:.1f}" if row[name] is not None else "" for name in ("p50", "p99")]
        refused = [f"{row[name]:.1f}" if row[name] is not None else "" for name in ("refused_p50", "refused_p99")]
        table.add_row(
            f"{row['rate']:,.0f}", f"{row['answered_per_second']:,.0f}", *times, f"{row['refused']:,}", *refused,
            f"{row['failed']:,}",
        )  # fmt: skip
    console = Console()
    console.print(table)
    console.print(f"Memory of the server: {found['memory'] / 1e6:.0f} MB.")
