"""A bundle is written only if it gives the results of the model."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch

from imtext.data import RetrievalDataModule
from imtext.errors import BundleError
from imtext.export import export, verify
from imtext.search import Bundle
from imtext.training.checkpoints import TrainedModel

Untrained = tuple[TrainedModel, RetrievalDataModule]


def altered(trained: TrainedModel) -> TrainedModel:
    other = copy.deepcopy(trained)
    with torch.no_grad():
        other.model.text_projection[1].weight.add_(0.05)  # type: ignore[index]
    return other


def test_another_model_is_noticed(untrained: Untrained, bundle: Bundle) -> None:
    trained, data = untrained
    with pytest.raises(BundleError, match="text graph differs from the trained model: lowest cosine"):
        verify(bundle, altered(trained), data)


def test_a_wrong_export_leaves_no_bundle(untrained: Untrained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained, data = untrained
    monkeypatch.setattr("imtext.export.trace_image_graph", lambda *_: b"no graph")
    with pytest.raises(BundleError):
        export(trained, data, tmp_path / "bundle", {}, {})
    assert not list(tmp_path.iterdir())


def test_manifest(bundle: Bundle) -> None:
    assert bundle.manifest["name"] == "?-?"  # this model was built without a configuration
    assert bundle.manifest["metrics"] == {"val/t2i_r@10": 0.5}
    assert bundle.manifest["tags"] == {"note": "tiny"}
    assert bundle.calibration is not None
    assert {path.name for path in bundle.path.iterdir()} == {
        "image.onnx",
        "text.onnx",
        "tokenizer.json",
        "manifest.json",
    }
    assert not list(Path(bundle.path).parent.glob(".*")), "the trial bundle is removed"
