"""Pictures in tar and parquet files have paths of their own, and are read one by one."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import fsspec
import pyarrow as pa
import pytest
from pyarrow import parquet

from imtext.search.files import is_shard, length_of, members, open_file, picture_of, read_bytes, shards, state_of
from imtext.search.store import File

CONTENTS = {f"{number:06}.jpg": bytes([number]) * (number + 1) for number in range(7)}


def make_tar(path: Path, contents: dict[str, bytes] = CONTENTS) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in contents.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def test_tar(tmp_path: Path) -> None:
    shard = str(make_tar(tmp_path / "0001.tar"))
    found = members(shard)
    assert [Path(path).name for path in found] == list(CONTENTS)
    for path, state in found.items():
        content = CONTENTS[Path(path).name]
        assert read_bytes(path) == open_file(path).read() == picture_of(path) == content
        assert state.st_size == len(content)
        assert File.found(path, state) == File.found(path, state_of(path))
    before = File.found(f"{shard}/000003.jpg", found[f"{shard}/000003.jpg"])
    make_tar(tmp_path / "new.tar", dict.fromkeys(CONTENTS, b"other")).replace(shard)
    assert not File.found(before.path, state_of(before.path)).unchanged_since(before)
    assert read_bytes(before.path) == b"other"
    for missing in (f"{shard}/nothing.jpg", f"{tmp_path}/no.tar/a.jpg"):
        for read in (read_bytes, state_of):
            with pytest.raises(FileNotFoundError):
                read(missing)


@pytest.mark.parametrize("is_struct", [True, False])
def test_parquet(tmp_path: Path, is_struct: bool) -> None:
    shard = str(tmp_path / "photos.parquet")
    values = [{"bytes": content, "path": name} if is_struct else content for name, content in CONTENTS.items()]
    table = pa.table({"caption": ["a"] * 7, "image": pa.array(values), "other": [b"x"] * 7})
    parquet.write_table(table, shard, row_group_size=3)
    found = members(shard)
    assert list(found) == [f"{shard}/{row}" for row in range(7)]
    assert [read_bytes(path) for path in found] == list(CONTENTS.values())
    assert all(File.found(path, state) == File.found(path, state_of(path)) for path, state in found.items())
    assert [length_of(path, state) for path, state in found.items()] == list(range(1, 8)), "for downloads"
    for missing in ("7", "-1", "first"):
        with pytest.raises(FileNotFoundError):
            read_bytes(f"{shard}/{missing}")


def test_what_is_no_shard(tmp_path: Path) -> None:
    (tmp_path / "folder.tar").mkdir()
    (tmp_path / "folder.tar" / "a.jpg").write_bytes(b"content")
    inside = str(tmp_path / "folder.tar" / "a.jpg")
    assert not is_shard(str(tmp_path / "folder.tar"))
    assert shards.split(inside) is None
    assert read_bytes(inside) == b"content"
    for name, reason in (("broken.tar", "not a tar file"), ("broken.parquet", "not a parquet file")):
        (tmp_path / name).write_bytes(b"nothing at all" * 100)
        with pytest.raises(OSError, match=reason):
            members(str(tmp_path / name))
    parquet.write_table(pa.table({"caption": ["a"]}), tmp_path / "texts.parquet")
    with pytest.raises(OSError, match="no column of pictures among caption"):
        members(str(tmp_path / "texts.parquet"))


def test_a_shard_in_a_folder_called_like_one(tmp_path: Path) -> None:
    (tmp_path / "set.tar").mkdir()
    shard = str(make_tar(tmp_path / "set.tar" / "part.tar"))
    assert [read_bytes(path) for path in members(shard)] == list(CONTENTS.values())


def test_damage_within_a_table(tmp_path: Path) -> None:
    """The end of the file, which says what it contains, is whole."""
    shard = tmp_path / "photos.parquet"
    parquet.write_table(pa.table({"image": [bytes(2_000)] * 5}), shard, compression="gzip")
    content = shard.read_bytes()
    shard.write_bytes(content[:4] + bytes(40) + content[44:])
    assert len(members(str(shard))) == 5
    with pytest.raises(OSError, match=r"^(?!.*not in )") as caught:
        read_bytes(f"{shard}/2")
    assert not isinstance(caught.value, FileNotFoundError)


def test_at_a_url(tmp_path: Path) -> None:
    url = f"memory://shards/{os.getpid()}.tar"
    fsspec.filesystem("memory").pipe_file(url, make_tar(tmp_path / "a.tar").read_bytes())
    assert [read_bytes(path) for path in members(url)] == list(CONTENTS.values())
