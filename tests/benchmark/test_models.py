"""The benchmark of models side by side, on a few pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from imtext.benchmark import models
from imtext.benchmark.models import benchmark_models, print_models
from imtext.search import Bundle


class Counting:
    """A peer that counts its work."""

    name = "counting"
    rounds = 0
    pictures = 0
    texts = 0

    def prepare(self) -> None:
        self.rounds += 1

    def embed_files(self, files: Sequence[Path]) -> None:
        self.pictures += len(files)

    def answer(self, text: str) -> None:
        self.texts += 1


@pytest.mark.slow
def test_bundles_and_peers_take_turns(
    bundle: Bundle, gallery: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(models, "QUERIES", 7)
    peer = Counting()
    found = benchmark_models([bundle, bundle], [lambda: peer], gallery, count=8)
    assert found["pictures"] == 8
    assert (peer.rounds, peer.pictures, peer.texts) == (3, 3 * 8, 7)
    first, second, other = found["models"]
    assert first["name"] == second["name"] == bundle.manifest["name"]
    assert first["bytes"] > 1e6
    assert first["images_per_second"] > 0
    assert first["query_p99_ms"] >= first["query_ms"] > 0
    assert other["name"] == "counting"
    print_models(found)
    assert "8 pictures" in capsys.readouterr().out


def test_generated_pictures_are_counted(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "QUERIES", 6)
    monkeypatch.setattr(models, "ROUNDS", 1)
    assert benchmark_models([], [Counting], None, count=3)["pictures"] == 3
