from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from imtext.data.captions import CaptionedImages
from imtext.data.streaming import finite
from imtext.data.streaming.finite import finite_images, joined
from imtext.data.streaming.shards import find_shards
from imtext.errors import DataError
from tests.shards import caption, http_server, write_shard, write_shards


def images(folder: Path, cache: Path, limit: int | None = None, **settings: Any) -> CaptionedImages:
    return finite_images(find_shards(str(folder)), limit, None, cache, 32, "the shards", **settings)


def test_the_first_samples(tmp_path: Path) -> None:
    found = images(write_shards(tmp_path / "shards", 3, 4), tmp_path / "cache", limit=5)
    assert found.captions == [[caption(number)] for number in range(5)]
    assert found.names[3].endswith("00001.tar/000000003")
    pixel = found.load_image(3).getpixel((5, 5))
    assert pixel == pytest.approx((21, 93, 303 % 256), abs=6)
    assert len(images(tmp_path / "shards", tmp_path / "cache")) == 7


def test_shards_are_read_once_until_they_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = images(write_shards(tmp_path / "shards", 3), tmp_path / "cache")
    with monkeypatch.context() as patch:
        patch.setattr(finite, "read_shard", None)
        again = images(tmp_path / "shards", tmp_path / "cache")
    assert again.captions == before.captions
    assert again.fingerprint == before.fingerprint
    write_shards(tmp_path / "shards", 4)
    assert images(tmp_path / "shards", tmp_path / "cache").fingerprint != before.fingerprint


def test_broken_samples(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write_shards(tmp_path / "shards", 3)
    write_shard(folder / "00001.tar", [{"jpg": b""}])
    with caplog.at_level(logging.WARNING):
        assert len(images(folder, tmp_path / "cache")) == 3
    assert "Left out of the shards: 1 samples without a caption" in caplog.text
    with pytest.raises(DataError, match=r"the shards: 1 samples without a caption.*skip_broken"):
        images(folder, tmp_path / "cache", skip_broken=False)


def test_another_layout_is_explained_with_what_was_found(tmp_path: Path) -> None:
    write_shard(tmp_path / "shards" / "a.tar", [{"img": b"", "cls": b"3"}] * 5)
    with pytest.raises(DataError, match=r"nothing can be read\. 5 samples .*it has cls, img.*000000001\.jpg, and"):
        images(tmp_path / "shards", tmp_path / "cache")
    assert not [path for path in (tmp_path / "cache").iterdir() if path.suffix != ".lock"]


def test_a_missing_address_is_explained(tmp_path: Path) -> None:
    with http_server(tmp_path) as address, pytest.raises(DataError, match=r"a\.tar \(.*no such file \(404\)"):
        finite_images([f"{address}/a.tar"], None, None, tmp_path / "cache", 32, "the shards")


def test_a_remote_shard_that_broke_off_is_read_again_by_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    shard = write_shards(tmp_path / "shards", 6) / "00000.tar"
    content = shard.read_bytes()
    shard.write_bytes(content[:6_000])  # inside of the third picture
    with http_server(shard.parent) as address:

        def read() -> CaptionedImages:
            return finite_images([f"{address}/00000.tar"], None, None, tmp_path / "cache", 32, "the shards")

        cut = read()
        assert "The next run reads them again" in caplog.text
        shard.write_bytes(content)
        assert read().fingerprint == cut.fingerprint, "other processes of the run have the same samples"
        monkeypatch.setattr(finite, "ONE_RUN", -1)
        whole = read()
        assert len(cut) < len(whole) == 6
        assert whole.fingerprint != cut.fingerprint
        write_shards(shard.parent, 7)
        assert len(read()) == 6, "a whole copy stays"


def test_two_sources_are_two_splits(tmp_path: Path) -> None:
    first = images(write_shards(tmp_path / "first", 3), tmp_path / "cache")
    second = images(write_shards(tmp_path / "second", 5), tmp_path / "cache")
    both = joined(first, second)
    assert both.official == {"train": [0, 1, 2], "val": [3, 4, 5, 6, 7], "test": []}
    assert both.load_image(7).tobytes() == second.load_image(4).tobytes()
    assert both.captions[3:] == second.captions
    assert both.fingerprint != joined(first, first).fingerprint
