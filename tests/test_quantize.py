"""Smaller bundles are measured and calibrated, and refused if they find less."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from imtext import quantize
from imtext.data import RetrievalDataModule
from imtext.errors import BundleError
from imtext.evaluation.bundle_scores import BundleScores, validation_pairs
from imtext.quantize import quantize_bundle
from imtext.search import Bundle
from imtext.training.checkpoints import TrainedModel

Untrained = tuple[TrainedModel, RetrievalDataModule]


def test_a_smaller_bundle_is_measured_and_calibrated(
    bundle: Bundle, untrained: Untrained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    smaller = quantize_bundle(bundle, untrained[1], tmp_path / "int8", "int8", force=True)
    assert smaller.manifest["precision"] == "int8"
    assert smaller.fingerprint != bundle.fingerprint == smaller.manifest["quantized_from"]
    assert smaller.calibration is not None
    pixels, captions, answers = validation_pairs(untrained[1])
    measured = BundleScores.of(smaller, pixels, captions).metrics(answers)
    assert smaller.manifest["metrics"]["val/t2i_r@10"] == measured["t2i_r@10"]
    head, before, after = capsys.readouterr().out.splitlines()
    assert "R@10" in head
    assert before.startswith("float32, 32 ")
    assert after.startswith("int8, 32 ")
    assert list(tmp_path.iterdir()) == [smaller.path], "the trial bundle is removed"


def test_a_re_ranker_is_rounded_and_calibrated_too(
    reranked: tuple[TrainedModel, Bundle], untrained: Untrained, tmp_path: Path
) -> None:
    smaller = quantize_bundle(reranked[1], untrained[1], tmp_path / "half", "float16", force=True)
    assert smaller.reranker is not None
    assert smaller.reranker.calibration is not None
    assert len(smaller.read("reranker.onnx")) < len(reranked[1].read("reranker.onnx"))


def test_a_bundle_that_finds_less_is_refused(
    bundle: Bundle, untrained: Untrained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantize, "MAX_LOSS", -2.0)
    with pytest.raises(BundleError, match=r"R@10 of t2i falls by .* --force"):
        quantize_bundle(bundle, untrained[1], tmp_path / "int8", "int8")
    assert not list(tmp_path.iterdir())
    assert quantize_bundle(bundle, untrained[1], tmp_path / "int8", "int8", force=True).path.is_dir()


def test_fewer_numbers(bundle: Bundle, untrained: Untrained, tmp_path: Path) -> None:
    smaller = quantize_bundle(bundle, untrained[1], tmp_path / "few", "int8", force=True, dim=24)
    assert smaller.embed_dim == 24
    pixels, captions, _ = validation_pairs(untrained[1])
    ours, whole = (BundleScores.of(one, pixels, captions) for one in (smaller, bundle))
    assert ours.images.shape == (len(pixels), 24)
    np.testing.assert_allclose(np.linalg.norm(ours.texts, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(ours.scores, whole.scores, atol=0.1)
    with pytest.raises(BundleError, match="--dim 32 is not less than the 32 numbers"):
        quantize_bundle(bundle, untrained[1], tmp_path / "same", "float32", dim=32)
