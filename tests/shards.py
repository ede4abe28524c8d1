"""Tiny shards, and servers of them on the loopback interface."""

from __future__ import annotations

import io
import tarfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from PIL import Image

from imtext.data.scenes import describe, draw, random_scene

FIRST = ("red", "green", "blue", "black", "white", "pink", "grey")


def jpeg(number: int = 0, size: int = 40) -> bytes:
    """A picture of one colour, which depends on the number."""
    content = io.BytesIO()
    Image.new("RGB", (size, size), (number * 7 % 256, number * 31 % 256, number * 101 % 256)).save(content, "JPEG")
    return content.getvalue()


def write_shard(path: Path, samples: Iterable[Mapping[str, bytes]], start: int = 0) -> Path:
    """Write samples, each given by the endings of its files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as file:
        for number, sample in enumerate(samples, start):
            for ending, content in sample.items():
                member = tarfile.TarInfo(f"{number:09d}.{ending}")
                member.size = len(content)
                file.addfile(member, io.BytesIO(content))
    return path


def caption(number: int) -> str:
    """A caption that no other sample has."""
    return f"a {FIRST[number % len(FIRST)]} thing number {number}"


def write_shards(folder: Path, *sizes: int) -> Path:
    """Write shards of so many samples, each with a caption of its own."""
    start = 0
    for number, size in enumerate(sizes):
        samples = [{"jpg": jpeg(each), "txt": caption(each).encode()} for each in range(start, start + size)]
        write_shard(folder / f"{number:05d}.tar", samples, start)
        start += size
    return folder


def write_scenes(folder: Path, count: int, per_shard: int) -> Path:
    """Drawn scenes with five captions each, as JSON."""
    import json

    rng = np.random.default_rng(3)
    for number in range(count // per_shard):
        samples = []
        for _ in range(per_shard):
            scene, content = random_scene(rng), io.BytesIO()
            draw(scene, rng).resize((64, 64)).save(content, "PNG")
            samples.append({"png": content.getvalue(), "json": json.dumps({"caption": describe(scene, rng)}).encode()})
        write_shard(folder / f"{number:05d}.tar", samples, number * per_shard)
    return folder


@contextmanager
def http_server(folder: Path) -> Iterator[str]:
    """Serve a folder; yields its address."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
