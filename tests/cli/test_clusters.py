from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from imtext.errors import SearchError
from imtext.search import Bundle, Encoder
from imtext.search.index import cluster
from imtext.search.index.embedding import LocalEmbedder
from tests.cli.conftest import imtext
from tests.conftest import picture


def test_an_address_needs_an_engine(index: Path) -> None:
    done = imtext("index", "--index", index, "--address", "auto")
    assert (done.returncode, done.stderr) == (2, "error: --address belongs to --engine ray\n")


def test_watching_is_local(index: Path) -> None:
    done = imtext("index", "--index", index, "--engine", "ray", "--watch")
    assert done.returncode == 2
    assert done.stderr.startswith("error: --watch embeds with this machine alone: run imtext index --engine ray again")


def test_no_cluster(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = imtext("index", "--index", index, "--engine", "ray", "--address", "127.0.0.1:1")
    assert done.returncode == 2
    assert done.stderr.startswith("error: Nothing answers at 127.0.0.1:1: ")
    monkeypatch.setitem(sys.modules, "ray", None)
    done = imtext("index", "--index", index, "--engine", "ray")
    assert 'pip install "imtext[ray]"' in done.stderr


def test_the_engine_embeds(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def connected(address: str | None) -> Iterator[str]:
        if address != "head:6379":
            raise SearchError("another address")
        yield "Ray: 3 nodes, 12 workers"

    asked = []

    def embedder(own: Bundle) -> LocalEmbedder:
        asked.append(own.path)
        return LocalEmbedder(Encoder(own, 1))

    monkeypatch.setattr(cluster, "connected", connected)
    monkeypatch.setattr(cluster, "RayEmbedder", embedder)
    picture(tmp_path / "a.png", 1)
    index = tmp_path / "index"
    args = ("index", tmp_path / "a.png", "--index", index, "--bundle", bundle.path)
    done = imtext(*args, "--engine", "ray", "--address", "head:6379")
    assert (done.returncode, done.stderr.strip()) == (0, "Ray: 3 nodes, 12 workers")
    assert done.stdout.startswith("1 added in ")
    assert asked == [index / "bundle"]


@pytest.mark.slow
def test_a_cluster_of_this_machine(bundle: Bundle, tmp_path: Path) -> None:
    """As its user starts it. Below `uv run`, as in CI, Ray's workers would make environments from the checkout."""
    for number in range(3):
        picture(tmp_path / f"{number}.png", number)
    files = ("--index", str(tmp_path / "index"), "--bundle", str(bundle.path))
    command = [sys.executable, "-m", "imtext", "index", str(tmp_path), *files, "--engine", "ray"]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    done = subprocess.run(command, capture_output=True, text=True, env={**clean, "TERM": "dumb"}, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("3 added in ")
