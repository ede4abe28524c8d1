"""The cache of decoded pictures."""

from __future__ import annotations

import multiprocessing
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imtext.data import Flickr8k, Shapes
from imtext.data.images import CachedImages, cached_images
from imtext.errors import DataError
from imtext.preprocess import Preprocess

PREPROCESS = Preprocess(32)


def whole(images: CachedImages) -> np.ndarray[Any, np.dtype[Any]]:
    return np.stack([images[row] for row in range(len(images))])


def test_pictures_are_decoded_once(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Flickr8k(str(pictures), image_size=32, cache_dir=str(tmp_path))
    first.setup()
    monkeypatch.setattr("imtext.data.images._decode", lambda *_: pytest.fail("decoded again"))
    again = Flickr8k(str(pictures), image_size=32, cache_dir=str(tmp_path))
    again.setup()
    assert (whole(first.pixels) == whole(again.pixels)).all()


def test_unfinished_files_of_a_killed_writer_are_not_used(tmp_path: Path) -> None:
    source = Shapes(12).load_source()
    finished = cached_images(source, PREPROCESS, tmp_path)
    expected = whole(finished)
    finished.path.unlink()
    finished.path.with_suffix(".partial").write_bytes(b"half")
    assert (whole(cached_images(source, PREPROCESS, tmp_path)) == expected).all()


def test_a_changed_picture_is_another_cache(folder: Path, tmp_path: Path) -> None:
    paths = []
    for number in (0, 1):
        data = Flickr8k(str(folder), image_size=32, cache_dir=str(tmp_path))
        data.setup()
        paths.append(data.pixels.path)
        (folder / "Images" / "2.jpg").write_bytes((folder / "Images" / f"{number}.jpg").read_bytes())
    assert paths[0] != paths[1]


def test_resizing_is_part_of_the_name_and_normalisation_is_not(tmp_path: Path) -> None:
    source = Shapes(8).load_source()
    settings = [
        PREPROCESS,
        Preprocess(64),
        Preprocess(32, resize="crop"),
        Preprocess(32, interpolation="bilinear"),
        Preprocess(32, image_mean=(0, 0, 0)),
    ]
    assert len({cached_images(source, setting, tmp_path).path for setting in settings}) == 4


@pytest.mark.slow
def test_two_writers(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool:
        sums = pool.map(_cache_sum, [tmp_path, tmp_path])
    assert sums[0] == sums[1] > 0
    assert not list(tmp_path.glob("*.partial"))


def test_workers_get_its_path(tmp_path: Path) -> None:
    cache = cached_images(Shapes(8).load_source(), PREPROCESS, tmp_path)
    message = pickle.dumps(cache)
    assert len(message) < 1_000
    restored: CachedImages = pickle.loads(message)
    assert (restored[3] == cache[3]).all()


def test_too_little_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 1_000

    monkeypatch.setattr("imtext.data.rows.shutil.disk_usage", lambda _: Usage)
    with pytest.raises(DataError, match=r"paths\.cache_dir="):
        cached_images(Shapes(8).load_source(), PREPROCESS, tmp_path)
    assert not list(tmp_path.glob("*.npy"))


def _cache_sum(folder: Path) -> int:
    return int(whole(cached_images(Shapes(50).load_source(), Preprocess(32), folder)).sum())
