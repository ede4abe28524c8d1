"""Engines of TensorRT, which no machine of the tests has: what is missing is said, and what would run is known."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import onnxruntime
import pytest
from typer.testing import CliRunner

from imtext.cli.main import app
from imtext.errors import SearchError
from imtext.search import Bundle
from imtext.search import engines as module
from imtext.search.engines import build_engines, require_tensorrt

needs_none = pytest.mark.skipif(
    "TensorrtExecutionProvider" in onnxruntime.get_available_providers(), reason="TensorRT is installed"
)


@needs_none
def test_what_is_missing_is_said(bundle: Bundle) -> None:
    for call in (require_tensorrt, lambda: build_engines(bundle)):
        with pytest.raises(SearchError, match=r"IMTEXT_PROVIDERS=tensorrt.*pip install onnxruntime-gpu tensorrt-cu12"):
            call()


@needs_none
def test_before_anything_is_exported() -> None:
    done = CliRunner().invoke(app, ["export", "/no/run", "--tensorrt"])
    assert "pip install onnxruntime-gpu tensorrt-cu12" in str(done.exception)


def test_short_and_long_texts_and_batches_of_pictures(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With a processor in the place of the GPU."""
    places: list[str] = []
    counts: list[int] = []

    class Encoder(module.Encoder):
        def encode_texts(self, texts: Sequence[str]) -> object:  # type: ignore[override]
            places.append(os.environ["IMTEXT_PROVIDERS"])
            _, mask = self.tokenizer(texts)
            assert mask.sum(axis=1).tolist() == [1, bundle.vocabulary.max_length]
            return None

        def encode_images(self, pixels: Sequence[object]) -> object:  # type: ignore[override]
            counts.append(len(pixels))
            return None

    monkeypatch.setattr(module, "Encoder", Encoder)
    monkeypatch.setattr(module, "require_tensorrt", lambda: None)
    monkeypatch.setattr(module, "engines_folder", lambda: tmp_path)
    monkeypatch.delenv("IMTEXT_PROVIDERS", raising=False)
    assert build_engines(bundle) == tmp_path
    assert (places, counts) == (["tensorrt"], [1, module.BATCH])
    assert "IMTEXT_PROVIDERS" not in os.environ
