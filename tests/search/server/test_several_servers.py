"""Several servers over one index on an object store, while it is indexed and while its model changes.

The object store is the server of moto, which speaks S3.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from PIL import Image

from imtext.search import Bundle, Encoder, Index
from imtext.search.bundle import write_bundle
from imtext.search.index import attach_index
from tests.conftest import picture
from tests.object_store import object_store

pytestmark = pytest.mark.slow

URL = "lance+s3://pictures/all"
SECONDS = 240  # a busy machine answers slowly
QUERIES = ("red circle", "blue square", "a green triangle")

Answer = list[tuple[str, float]]
Serve = Callable[[Path, Bundle], str]


@pytest.fixture
def bucket() -> Iterator[None]:
    """An empty bucket `pictures`, named by the environment."""
    with object_store("pictures"):
        yield


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server over the store; returns its address."""
    running = []

    def run(folder: Path, bundle: Bundle) -> str:
        process = subprocess.Popen(command(folder, bundle), stdout=subprocess.PIPE, stderr=sys.stderr, text=True)
        running.append(process)
        assert process.stdout is not None
        return process.stdout.readline().split()[3]

    yield run
    for process in running:
        process.terminate()
    assert [process.wait(SECONDS) for process in running] == [0] * len(running)


def command(folder: Path, bundle: Bundle) -> list[str]:
    options = ["--index", str(folder), "--store", URL, "--bundle", str(bundle.path), "--port", "0"]
    return [sys.executable, "-m", "imtext", "serve", *options]


def answers(url: str) -> list[Answer]:
    """Ids and scores of the results of each query, and all pictures."""
    asked = [f"/search?q={query}&top_k=50&min_relevance=0" for query in QUERIES]
    found: list[Any] = [requests.get(url + path, timeout=SECONDS) for path in [*asked, "/images?limit=100"]]
    assert [one.status_code for one in found] == [200] * 4
    return [[(result["id"], result["score"]) for result in one.json()["results"]] for one in found]


def _wide(path: Path, seed: int) -> None:
    """A picture that the other model, which crops instead of squashing, sees differently."""
    drawn = picture(path, seed)
    with Image.open(drawn) as opened:
        opened.resize((150, 60)).save(path)


def wait_until(true: Callable[[], bool]) -> None:
    """Ask now and then: the object store runs in this process, and would have no time for the servers."""
    limit = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < limit
        time.sleep(1)


def expected(index: Index) -> list[Answer]:
    return [[(one.id, one.score) for one in index.search(_terms(query), 50)] for query in QUERIES]


def _terms(query: str) -> Any:
    from imtext.search import parse_query

    return parse_query(query)


def test_one_index_and_two_servers(bucket: None, serve: Serve, bundle: Bundle, tmp_path: Path) -> None:
    gallery = tmp_path / "gallery"
    gallery.mkdir()
    for number in range(6):
        _wide(gallery / f"{number}.png", number)
    index = Index.create(tmp_path / "indexer", bundle, store=URL)
    index.update([str(gallery)])
    folders = [tmp_path / "one", tmp_path / "two"]
    servers = [serve(folder, bundle) for folder in folders]
    first, second = map(answers, servers)
    assert first == second
    assert [len(answer) for answer in first] == [6] * 4
    assert [[id for id, _ in answer] for answer in first[:3]] == [[id for id, _ in one] for one in expected(index)]

    _wide(gallery / "new.png", 99)
    index.update()
    for url in servers:
        wait_until(lambda: len(answers(url)[0]) == 7)  # noqa: B023
    before = answers(servers[0])
    assert answers(servers[1]) == before

    crop = {**bundle.manifest, "preprocess": {**bundle.manifest["preprocess"], "resize": "crop"}}
    graphs = {name: bundle.read(file) for name, file in bundle.graphs.items()}
    other = write_bundle(tmp_path / "other", graphs, Encoder(bundle).tokenizer, crop)
    rebuilt = Index.create(tmp_path / "indexer", other, rebuild=True)
    assert [answers(url) for url in servers] == [before, before], "wholly by the old model, while there is a new one"
    rebuilt.update()
    assert [answers(url) for url in servers] == [before, before]
    late = subprocess.run(command(folders[1], bundle), check=False, capture_output=True, text=True, timeout=SECONDS)
    assert late.returncode == 2
    assert "were embedded by another model" in late.stderr

    attach_index(folders[0], other, URL)
    wait_until(lambda: answers(servers[0]) != before)
    after = answers(servers[0])
    assert [[id for id, _ in answer] for answer in after[:3]] == [[id for id, _ in one] for one in expected(rebuilt)]
    assert answers(servers[1]) == before, "until it has the new bundle"
    attach_index(folders[1], other, URL)
    wait_until(lambda: answers(servers[1]) == after)


def test_a_store_that_does_not_answer(tmp_path: Path, bundle: Bundle) -> None:
    environment = {**os.environ, "AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ALLOW_HTTP": "true"}
    environment |= {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}
    done = subprocess.run(
        command(tmp_path / "index", bundle),
        check=False,
        capture_output=True,
        text=True,
        env=environment,
        timeout=SECONDS,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: lance+s3://pictures/all cannot be opened: ")
    assert "Traceback" not in done.stderr
