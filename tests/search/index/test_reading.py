"""Text in pictures becomes words of theirs."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from imtext.search.facts import Facts
from imtext.search.index import reading
from imtext.search.index.reading import read_texts
from imtext.search.store import File, Picture, Store, create_store


def sign(path: Path, text: str) -> Path:
    """A white picture with a text."""
    image = Image.new("RGB", (400, 300), "white")
    ImageDraw.Draw(image).text((60, 100), text, fill="black", font=ImageFont.load_default(70))
    image.save(path)
    return path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A sign, its copy, a white picture, and one whose file is gone."""
    store = create_store(f"sqlite:///{tmp_path / 'index.sqlite'}", 2)
    sign(tmp_path / "sign.png", "BAKERY")
    shutil.copy(tmp_path / "sign.png", tmp_path / "copy.png")
    sign(tmp_path / "white.png", "")
    sign(tmp_path / "gone.png", "")
    for name, content in (("sign", b"1"), ("copy", b"1"), ("white", b"2"), ("gone", b"3")):
        path = tmp_path / f"{name}.png"
        file = replace(File.found(str(path), path.stat()), content=content)
        store.commit([Picture(content, np.ones(2, np.float32))], [file], facts={content: Facts()})
    (tmp_path / "gone.png").unlink()
    return store


class Reader:
    """Finds a text in pictures that are not white."""

    read = 0

    def __init__(self, params: object = None) -> None:
        pass

    def __call__(self, pixels: np.ndarray) -> SimpleNamespace:
        Reader.read += 1
        lines: Sequence[str] | None = ("THE", "BAKERY") if pixels.min() < 128 else None
        return SimpleNamespace(txts=lines)


@pytest.mark.parametrize("commit_seconds", [-1.0, 100.0])
def test_each_picture_once(store: Store, monkeypatch: pytest.MonkeyPatch, commit_seconds: float) -> None:
    monkeypatch.setattr(reading, "RapidOCR", Reader)
    monkeypatch.setattr(reading, "COMMIT_SECONDS", commit_seconds)
    monkeypatch.setattr(Reader, "read", 0)
    steps: list[tuple[int, int]] = []
    assert read_texts(store, lambda done, total, path: steps.append((done, total))) == 2
    assert steps == [(1, 3), (2, 3), (3, 3)]
    (found,) = store.find_words(["bakery"], 9)
    assert found.where == ("text in the picture",)
    assert [Path(file.path).name for file in store.without_text()] == ["gone.png"]
    assert (read_texts(store, lambda *_: None), Reader.read) == (0, 2), "what was read is not read again"


def test_interrupted(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "RapidOCR", Reader)
    monkeypatch.setattr(reading, "COMMIT_SECONDS", -1.0)

    def stop(done: int, total: int, path: str) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read_texts(store, stop)
    assert len({file.content for file in store.without_text()}) == 2, "the first picture is kept"


@pytest.mark.slow
def test_a_drawn_sign_is_read(store: Store) -> None:
    assert read_texts(store, lambda *_: None) == 2
    assert [
        store.held([found.id])[found.id][0].path.endswith("copy.png") for found in store.find_words(["bakery"], 9)
    ] == [True]
