"""Cached embeddings: those of the metrics, computed once, and never those of another model."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch

from imtext.data import RetrievalDataModule
from imtext.evaluation.embed import embed_split
from imtext.training.checkpoints import TrainedModel
from imtext.training.rerank import embeddings
from imtext.training.rerank.embeddings import embeddings_of

CPU = torch.device("cpu")
Untrained = tuple[TrainedModel, RetrievalDataModule]


def test_same_as_computed_and_computed_once(
    untrained: Untrained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained, data = untrained
    monkeypatch.setattr(data, "cache_dir", tmp_path)
    found = embeddings_of(trained, data, "val", CPU)
    expected = embed_split(trained.model, data.eval_dataloader("val"), CPU, "").gathered()
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)
    monkeypatch.setattr(embeddings, "embed_split", None)
    again = embeddings_of(trained, data, "val", CPU)
    assert all(ours.equal(theirs) for ours, theirs in zip(again, found, strict=True))


def test_other_weights_have_other_embeddings(
    untrained: Untrained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained, data = untrained
    monkeypatch.setattr(data, "cache_dir", tmp_path)
    found = embeddings_of(trained, data, "val", CPU)
    other = copy.deepcopy(trained)
    with torch.no_grad():
        other.model.text_projection[1].bias.add_(1)  # type: ignore[index]
    changed = embeddings_of(other, data, "val", CPU)
    assert changed[0].equal(found[0])
    assert not changed[1].isclose(found[1]).all()
