"""The model card says what the manifest says, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from imtext.errors import BundleError
from imtext.search import Bundle
from imtext.search.bundle import RerankerFacts
from imtext.search.card import model_card
from imtext.search.pretrained import RECOMMENDED
from tests.conftest import changed_bundle

METRICS = {
    "val/num_images": 1000, "val/num_captions": 5000,
    "val/t2i_r@1": 0.258, "val/t2i_r@1_low": 0.2392, "val/t2i_r@1_high": 0.2772,
    "val/t2i_r@5": 0.532, "val/t2i_r@10": 0.6592, "val/t2i_mrr": 0.38774, "val/t2i_mrr_low": 0.37,
    "val/t2i_median_rank": 5, "val/rerank_t2i_r@10": 0.7, "test/i2t_r@10": 0.5,
}  # fmt: skip


def front_matter(card: str) -> dict[str, Any]:
    """What the hub reads."""
    return dict(ModelCard(card).data.to_dict())


def test_front_matter(bundle: Bundle) -> None:
    assert front_matter(model_card(bundle)) == {
        "license": "unknown",
        "library_name": "imtext",
        "pipeline_tag": "zero-shot-image-classification",
        "tags": ["image-text-retrieval", "onnx"],
    }


def test_metrics_with_their_intervals(bundle: Bundle, tmp_path: Path) -> None:
    card = model_card(changed_bundle(bundle, tmp_path / "measured", metrics=METRICS))
    rows = [line for line in card.splitlines() if line.startswith(("| validation", "| test"))]
    assert rows == [
        "| validation | text → image | 25.8 % (23.9–27.7) | 53.2 % | 65.9 % | 0.388 | 5 |",
        "| validation | text → image, re-ranked | – | – | 70.0 % | – | – |",
        "| test | image → text | – | – | 50.0 % | – | – |",
    ]
    assert "On 1,000 pictures and 5,000 captions of the validation split. Each query" in card


def test_without_metrics(bundle: Bundle, tmp_path: Path) -> None:
    assert "no metrics of retrieval" in model_card(changed_bundle(bundle, tmp_path / "bundle", metrics={}))


def test_facts(bundle: Bundle) -> None:
    card = model_card(bundle, repository="anna/photos")
    assert f"# {bundle.manifest['name']}\n" in card
    assert "| image tower | 0.9 M parameters |" in card
    assert "| pictures | 32 × 32 pixels, squeezed to a square |" in card
    assert "| embeddings | 32 numbers of unit length |" in card
    assert "| precision | float32 |" in card
    assert f": {bundle.megabytes:.1f} MB |" in card
    assert bundle.fingerprint in card
    assert "imtext pull anna/photos -o photos\nimtext index ~/Pictures --bundle photos\n" in card
    assert f"knows the {bundle.vocabulary.size} entries of its vocabulary" in card


def test_relevance(bundle: Bundle, tmp_path: Path) -> None:
    assert bundle.calibration is not None
    facts = bundle.calibration.to_dict() | {"min_relevance": 0.066, "refused": 0.304, "error": 0.0018}
    card = model_card(changed_bundle(bundle, tmp_path / "calibrated", calibration=facts))
    for said in ("Results below 7 % are not shown", "gallery, 30 % get no result", "calibration error is 0.2 points"):
        assert said in card
    card = model_card(changed_bundle(bundle, tmp_path / "not", calibration=None))
    assert "no per cents" in card
    assert "imtext calibrate BUNDLE" in card


def test_reranker(bundle: Bundle) -> None:
    card = model_card(replace(bundle, reranker=RerankerFacts(50, (49, 16), None)))
    assert "| re-ranker | scores the best 50 again, by 49 places × 16 numbers |" in card
    assert "no per cents" in card, "the calibration is that of the dual encoder"


def test_origin(bundle: Bundle, tmp_path: Path) -> None:
    """Names, not the folders of this machine."""
    tags = {
        "data_source": "/home/anna/secret/flickr8k", "output_dir": "/home/anna/runs/first", "git_commit": "abc",
        "git_dirty": "true", "data_fingerprint": "de3c", "command": "train.py data.path=/home/anna",
    }  # fmt: skip
    card = model_card(changed_bundle(bundle, tmp_path / "bundle", tags=tags))
    for row in ("data set | `flickr8k`", "run | `first`", "`abc with changes that were", "the data | `de3c`"):
        assert row in card
    assert "anna" not in card
    assert "does not record it" in model_card(bundle)


def test_licence(bundle: Bundle, tmp_path: Path) -> None:
    assert "licence of the weights is unknown" in model_card(bundle)
    card = model_card(bundle, "MIT")
    assert front_matter(card)["license"] == "mit"
    assert "Weights: mit." in card
    with pytest.raises(BundleError, match="--license takes an identifier such as mit"):
        model_card(bundle, "mine: all of it")
    source = RECOMMENDED["siglip-b16"].repository
    card = model_card(changed_bundle(bundle, tmp_path / "ready", tags={"source": source, "precision": "fp32"}))
    assert (front_matter(card)["license"], front_matter(card)["base_model"]) == ("apache-2.0", source)
    assert "| precision | fp32 |" in card
