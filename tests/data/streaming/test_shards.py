from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import pytest

from imtext.data.streaming.shards import are_shards, find_shards, is_remote, mark, open_shard
from imtext.errors import DataError, MissingExtraError
from tests.object_store import object_store
from tests.shards import http_server, write_shards


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_shards(tmp_path / "shards", 2, 2, 2)


def test_ranges_folders_patterns_and_lists(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [str(folder / f"0000{number}.tar") for number in range(3)]
    (folder / "00000_stats.json").write_text("{}")
    assert find_shards(f"{folder}/{{00000..00002}}.tar") == paths
    assert find_shards(str(folder)) == paths
    assert find_shards(f"{folder}/*.tar") == paths
    assert find_shards([paths[2], f"{folder}/{{00001..00002}}.tar"]) == [paths[2], paths[1]], "each once, in order"
    monkeypatch.setenv("HOME", str(folder.parent))
    assert find_shards("~/shards/00001.tar") == [paths[1]]


def test_no_shards(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.path=.*: 2 of 5 shards do not exist, such as .*00003\.tar"):
        find_shards(f"{folder}/{{00000..00004}}.tar")
    with pytest.raises(DataError, match=r"data\.path=.*\*\.tar: there are no shards"):
        find_shards(f"{tmp_path}/*.tar")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"data\.validation=.*empty: there are no shards"):
        find_shards(str(tmp_path / "empty"), "data.validation")
    with pytest.raises(DataError, match="Unbalanced braces"):
        find_shards("a{1..3.tar")


def test_shards_or_a_table(folder: Path, tmp_path: Path) -> None:
    assert are_shards(str(folder))
    assert are_shards("s3://bucket/{0..3}.tar")
    assert are_shards(["a.tar"])
    assert not are_shards(str(tmp_path))
    assert not are_shards("captions.csv")


def test_a_changed_file_has_another_mark(folder: Path) -> None:
    before = mark(str(folder / "00000.tar"))
    write_shards(folder, 3)
    assert mark(str(folder / "00000.tar")) != before


def test_a_file_has_one_mark_however_it_is_named(folder: Path, tmp_path: Path) -> None:
    shard = folder / "00000.tar"
    (tmp_path / "linked").symlink_to(folder)
    others = [folder / ".." / "shards" / "00000.tar", tmp_path / "linked" / "00000.tar", f"file://{shard}"]
    assert {mark(str(other)) for other in others} == {mark(str(shard))}
    assert mark(f"file://{folder}/missing.tar") == f"file://{folder}/missing.tar"


def test_http(folder: Path) -> None:
    with http_server(folder) as address:
        assert find_shards(f"{address}/{{00000..00001}}.tar") == [f"{address}/00000.tar", f"{address}/00001.tar"]
        assert find_shards(f"{address}/*.tar") == [f"{address}/0000{number}.tar" for number in range(3)]
        assert find_shards(address) == [f"{address}/0000{number}.tar" for number in range(3)]
        assert find_shards(f"{address}/00001.tar?key=1") == [f"{address}/00001.tar?key=1"]
        with open_shard(f"{address}/00001.tar") as file:
            assert file.read() == (folder / "00001.tar").read_bytes()
        with pytest.raises(FileNotFoundError):
            open_shard(f"{address}/00009.tar")
    assert is_remote(address)


@pytest.mark.slow
def test_s3(folder: Path) -> None:
    address = "s3://shards"
    with object_store("shards", folder):
        assert find_shards(f"{address}/*.tar") == [f"{address}/0000{number}.tar" for number in range(3)]
        assert find_shards(address) == find_shards(f"{address}/*.tar")
        with open_shard(f"{address}/00001.tar") as file:
            assert file.read() == (folder / "00001.tar").read_bytes()
        with pytest.raises(DataError, match=r"s3://other/\*\.tar cannot be listed|no shards"):
            find_shards("s3://other/*.tar")


def test_an_unknown_kind_of_address() -> None:
    with pytest.raises(DataError, match="carrier"):
        find_shards("carrier-pigeon://a/*.tar")


@pytest.mark.parametrize(("package", "address"), [("fsspec", "http://127.0.0.1:9/*.tar"), ("s3fs", "s3://a/*.tar")])
def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch, package: str, address: str) -> None:
    monkeypatch.delitem(
        vars(import_module("fsspec.registry"))["_registry"], "s3", raising=False
    )  # what an earlier test has loaded
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=r'pip install "imtext\[remote\]"'):
        find_shards(address)
