"""Files are prepared in order; a content that is known or was prepared before has no pixels."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imtext.preprocess import Preprocess
from imtext.search import Bundle
from imtext.search.index.discovery import find
from imtext.search.index.preparation import Prepared, Preparer
from imtext.search.store import File, Picture, Store, create_store
from imtext.search.store.records import UNREAD
from tests.tiffs import dng


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return create_store(f"memory://{tmp_path}", 2)


def test_a_raw_file_is_tried_again_when_its_package_is_there(
    store: Store, preprocess: Preprocess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.dng"
    path.write_bytes(dng(Image.new("RGB", (40, 30))))
    file = File(str(path), path.stat().st_size, path.stat().st_mtime_ns)
    monkeypatch.setattr("imtext.preprocess.formats._is_installed", lambda module: False)
    (refused,) = Preparer(store.known, preprocess).prepare([file])
    assert (refused.file.size, refused.file.reason) == (UNREAD, 'DNG is read after pip install "imtext[raw]"')
    monkeypatch.undo()
    (prepared,) = Preparer(store.known, preprocess).prepare([file])
    assert (prepared.file.reason, prepared.pixels is None) == ("", False)


@pytest.fixture
def preprocess(bundle: Bundle) -> Preprocess:
    return bundle.preprocess


def prepare(store: Store, preprocess: Preprocess, folder: Path) -> dict[str, Prepared]:
    files = list(find([str(folder)]).files.values())
    prepared = list(Preparer(store.known, preprocess).prepare(files))
    assert [item.file.path for item in prepared] == [file.path for file in files]
    return {Path(item.file.path).name: item for item in prepared}


def test_each_content_is_embedded_once(store: Store, preprocess: Preprocess, gallery: Path) -> None:
    shutil.copy(gallery / "03.png", gallery / "copy.png")
    prepared = prepare(store, preprocess, gallery)
    assert [name for name, item in prepared.items() if item.pixels is None] == ["copy.png"]
    assert prepared["copy.png"].file.content == prepared["03.png"].file.content
    content = prepared["05.png"].file.content
    store.commit([Picture(content, np.ones(2, np.float32))], [prepared["05.png"].file])
    again = prepare(store, preprocess, gallery)
    assert {name for name, item in again.items() if item.pixels is None} == {"05.png", "copy.png"}


def test_refusals(store: Store, preprocess: Preprocess, gallery: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (gallery / "text.jpg").write_text("a letter")
    monkeypatch.setattr("imtext.search.index.preparation.MAX_BYTES", (gallery / "01.png").stat().st_size - 1)
    prepared = prepare(store, preprocess, gallery)
    assert "more than the limit of" in prepared["01.png"].file.reason
    assert prepared["text.jpg"].file.reason
    assert prepared["text.jpg"].file.size == len("a letter")


def test_unreadable(store: Store, preprocess: Preprocess, gallery: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", read)
    for item in prepare(store, preprocess, gallery).values():
        assert (item.file.size, item.file.reason, item.pixels) == (UNREAD, "Permission denied", None)


def test_stopped_in_the_middle(store: Store, preprocess: Preprocess, gallery: Path) -> None:
    prepared = Preparer(store.known, preprocess).prepare(list(find([str(gallery)]).files.values()))
    next(prepared)
    prepared.close()
