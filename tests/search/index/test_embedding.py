"""Files come back in order, each content with one vector."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from imtext.preprocess import open_image
from imtext.search import Bundle, Encoder
from imtext.search.index import embedding
from imtext.search.index.discovery import find
from imtext.search.index.embedding import Embedded, LocalEmbedder
from imtext.search.store import create_store


def embed(encoder: Encoder, gallery: Path) -> list[Embedded]:
    store = create_store(f"memory://{gallery}", encoder.bundle.embed_dim)
    files = list(find([str(gallery)]).files.values())
    embedded = list(LocalEmbedder(encoder).embed(files, store, grids=False))
    assert [item.file.path for item in embedded] == [file.path for file in files]
    return embedded


@pytest.mark.parametrize("seconds", [0.0, 60.0])
def test_in_order(
    encoder: Encoder, bundle: Bundle, gallery: Path, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "WAIT_SECONDS", seconds)
    monkeypatch.setattr(embedding, "BATCH", 5)
    shutil.copy(gallery / "03.png", gallery / "a copy.png")
    (gallery / "broken.jpg").write_text("nothing")
    found = {Path(item.file.path).name: item for item in embed(encoder, gallery)}
    without = {name for name, item in found.items() if item.vector is None}
    assert without == {"a copy.png", "broken.jpg"}, "the copy comes after 03.png"
    assert found["broken.jpg"].file.reason
    assert found["a copy.png"].file.content == found["03.png"].file.content
    vector, facts = found["05.png"].vector, found["05.png"].facts
    pixels = bundle.preprocess.pixels(open_image(gallery / "05.png"))
    assert vector is not None
    np.testing.assert_allclose(vector, encoder.encode_images([pixels])[0], atol=1e-5)
    assert facts is not None
    assert facts.width > 0
