"""Folders of object stores are sources like others: found, updated, searched and shown."""

from __future__ import annotations

import tarfile
from pathlib import Path
from uuid import uuid4

import fsspec
import pyarrow as pa
import pytest
from pyarrow import parquet

from imtext.errors import SearchError
from imtext.search import Bundle, Index, parse_query
from imtext.search.index import Rules
from imtext.search.index.discovery import Found, find
from tests.conftest import picture
from tests.object_store import object_store


@pytest.fixture
def bucket(gallery: Path) -> str:
    """The URL of a copy of the gallery, with files that are no pictures or are left out."""
    url = f"memory://{uuid4().hex}/photos"
    files = fsspec.filesystem("memory")
    for path in (path for path in sorted(gallery.rglob("*")) if path.is_file()):
        files.pipe_file(f"{url}/{path.relative_to(gallery)}", path.read_bytes())
    for name in ("notes.txt", "@eaDir/00.png", ".hidden.png"):
        files.pipe_file(f"{url}/{name}", b"nothing")
    return url


def test_find(bucket: str, gallery: Path) -> None:
    found = find([f"{bucket}/"])
    local = {str(path.relative_to(gallery)) for path in gallery.rglob("*.png")}
    assert {path.removeprefix(f"{bucket}/") for path in found.files} == local
    assert sorted(found.skipped.values()) == ["@eaDir", "hidden"]
    assert found.folders == [bucket]
    assert list(find([f"{bucket}/00.png"]).files) == [f"{bucket}/00.png"]
    assert len(find([bucket], rules=Rules(("0*.png",))).files) < len(local)
    with pytest.raises(SearchError, match=r"memory://nowhere/a cannot be listed: No such file"):
        find(["memory://nowhere/a"])
    gone: Found = find(["memory://nowhere/a"], remembered=True)
    assert gone.missing == ["memory://nowhere/a"]


def test_update_and_search(bucket: str, index: Index, gallery: Path) -> None:
    files = fsspec.filesystem("memory")
    report = index.update([f"{bucket}/"])
    assert (report.added, index.store.sources()) == (12, [bucket])
    assert index.update().unchanged == 12
    found = index.search(parse_query(str(gallery / "05.png")), 1)[0]
    assert found.path == f"{bucket}/05.png"
    assert found.score == pytest.approx(1, abs=1e-4)
    files.pipe_file(f"{bucket}/05.png", picture(gallery / "05.png", 99).read_bytes())
    files.rm(f"{bucket}/06.png")
    files.mv(f"{bucket}/07.png", f"{bucket}/renamed.png")
    report = index.update()
    assert (report.updated, report.removed, len(report.renamed), len(index)) == (1, 1, 1, 11)
    files.rm(bucket, recursive=True)
    assert index.update().removed == 0, "a bucket that cannot be reached takes nothing away"
    assert len(index) == 11
    assert index.update(allow_empty=True).removed == 11


def test_shards(index: Index, gallery: Path, tmp_path: Path) -> None:
    paths = sorted(gallery.rglob("*.png"))
    for number in range(2):
        with tarfile.open(tmp_path / f"{number:02}.tar", "w") as archive:
            for path in paths[5 * number : 5 * number + 5]:
                archive.add(path, path.name)
                archive.add(path, f"{path.stem}.txt")
    table = pa.table({"image": [path.read_bytes() for path in paths]})
    parquet.write_table(table, tmp_path / "photos.parquet")
    shards = f"{tmp_path}/{{00..01}}.tar"
    assert index.update([shards]).added == 10
    report = index.update([f"{tmp_path}/*.parquet"])
    assert (report.added, report.copies) == (2, 10)
    assert index.update().unchanged == 22
    found = index.search(parse_query(str(paths[7])), 1)[0]
    assert {found.path, *found.copies} == {f"{tmp_path}/01.tar/{paths[7].name}", f"{tmp_path}/photos.parquet/7"}
    (tmp_path / "01.tar").unlink()
    assert index.update().removed == 0, "a shard that is gone may be on a drive that is not mounted"
    with tarfile.open(tmp_path / "00.tar", "w") as archive:
        archive.add(paths[0], "renamed.png")
    report = index.update()
    assert (len(report.renamed), report.removed) == (1, 4)
    with pytest.raises(SearchError, match=r"no\.tar cannot be read: No such file"):
        index.update([str(tmp_path / "no.tar")])


def test_what_is_left_out_of_shards(gallery: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "mac.tar", "w") as archive:
        for name in ("a.png", "._a.png", "deep/b.png", "__MACOSX/deep/b.png", "private/c.png"):
            archive.add(gallery / "00.png", name)
    found = find([str(tmp_path / "mac.tar")], rules=Rules(("private",)))
    assert [path.removeprefix(f"{tmp_path}/mac.tar/") for path in found.files] == ["a.png", "deep/b.png"]
    assert sorted(found.skipped.values()) == ["__MACOSX", "by --exclude", "hidden"]


@pytest.mark.slow
def test_s3(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal sizes and times within a second are told apart by the ETag."""
    index = Index.create(tmp_path / "index", bundle)
    with object_store("pictures"):
        files = fsspec.filesystem("s3")
        for number in range(5):
            content = picture(tmp_path / "a.png", number).read_bytes()
            files.pipe_file(f"s3://pictures/photos/{number}.png", content)
        assert index.update(["s3://pictures/photos"]).added == 5
        assert index.update().unchanged == 5
        files.pipe_file("s3://pictures/photos/0.png", picture(tmp_path / "a.png", 50).read_bytes())
        assert index.update().updated == 1
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        fsspec.filesystem("s3").clear_instance_cache()
        assert index.update().removed == 0, "a store that does not answer takes nothing away"
    assert len(index) == 5
