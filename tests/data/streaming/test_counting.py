from __future__ import annotations

import json
from pathlib import Path

import pytest

from imtext.data.streaming import counting
from imtext.data.streaming.counting import count_headers, count_samples
from imtext.data.streaming.shards import find_shards
from imtext.errors import ConfigError
from tests.shards import http_server, write_shards


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_shards(tmp_path / "shards", 3, 4)


def write_stats(folder: Path, *successes: int) -> None:
    for number, count in enumerate(successes):
        (folder / f"{number:05d}_stats.json").write_text(json.dumps({"count": 99, "successes": count}))


def test_headers_are_counted_once(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert count_samples(find_shards(str(folder)), tmp_path / "cache") == 7
    monkeypatch.setattr(counting, "count_headers", None)
    assert count_samples(find_shards(str(folder)), tmp_path / "cache") == 7


def test_img2dataset_has_counted(folder: Path, tmp_path: Path) -> None:
    write_stats(folder, 30)
    assert count_samples(find_shards(str(folder)), tmp_path / "cache") == 7, "one is missing"
    write_stats(folder, 30, 12)
    assert count_samples(find_shards(str(folder)), tmp_path / "other") == 42
    (folder / "00001_stats.json").write_text("{}")
    assert count_samples(find_shards(str(folder)), tmp_path / "other") == 7


def test_remote_counts(folder: Path, tmp_path: Path) -> None:
    with http_server(folder) as address:
        shards = [f"{address}/0000{number}.tar" for number in range(2)]
        with pytest.raises(ConfigError, match=r"2 shards .* is remote .* data\.samples_per_epoch=100000"):
            count_samples(shards, tmp_path)
        write_stats(folder, 30, 12)
        assert count_samples(shards, tmp_path) == 42
        assert count_samples(shards[:1], tmp_path) == 30
        with pytest.raises(ConfigError, match=r"samples_per_epoch"):
            count_samples([f"{shards[0]}?key=1"], tmp_path)


def test_large_shards_are_not_counted(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "MOST", 1000)
    with pytest.raises(ConfigError, match=r"they have 0 GB"):
        count_samples(find_shards(str(folder)), tmp_path)


def test_a_shard_that_ends_too_early_counts_as_far_as_it_goes(folder: Path) -> None:
    path = folder / "00001.tar"
    path.write_bytes(path.read_bytes()[:3000])
    assert 1 <= count_headers(str(path)) < 4
    path.write_bytes(b"no shard")
    assert count_headers(str(path)) == 0
