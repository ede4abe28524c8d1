"""Measure a dual encoder together with its re-ranker."""

from __future__ import annotations

import torch
from torch import Tensor

from imtext.data import RetrievalDataModule
from imtext.data.captions import Split
from imtext.errors import ConfigError
from imtext.evaluation.metrics import RetrievalMetrics
from imtext.evaluation.reranking import TOP_K, Gathered, SecondLook, rerank_metrics
from imtext.training.checkpoints import TrainedModel
from imtext.training.rerank.embeddings import embeddings_of


def depth_of(wanted: int | None, trained: TrainedModel, name: str) -> int:
    """Number of pictures of a caption to score again; 0 for no re-ranking.

    Args:
        wanted: the setting `rerank_top_k`; None for the default, 0 for none.
        trained: the model.
        name: of the checkpoint, for the message.

    Raises:
        ConfigError: re-ranking is asked for, and the model has no re-ranker.
    """
    if trained.reranker is None:
        if wanted:
            raise ConfigError(
                f"rerank_top_k={wanted}: {name} has no re-ranker. Train one: python -m imtext.rerank ckpt_path=…"
            )
        return 0
    return TOP_K if wanted is None else wanted


def look_again(
    trained: TrainedModel, data: RetrievalDataModule, gathered: Gathered, top_k: int
) -> tuple[Tensor, dict[str, float]]:
    """Re-rank the best pictures of every caption of a split.

    Args:
        trained: with a re-ranker, in evaluation mode; both models are moved to the device of the embeddings.
        data: after `setup`.
        gathered: embeddings of the split.
        top_k: pictures of a caption that are scored again.

    Returns:
        The rank ``[T]`` of each caption's picture, and `rerank_metrics`.
    """
    assert trained.reranker is not None
    device = gathered[0].device
    encoder = trained.model.to(device).image_encoder
    look = SecondLook(gathered, top_k, encoder, data.pictures(), data.captions, trained.tokenizer)
    ranks = look.ranks(trained.reranker.to(device))
    return ranks, rerank_metrics(look, ranks)


def measure_both(
    trained: TrainedModel, data: RetrievalDataModule, top_k: int, device: torch.device
) -> dict[str, float]:
    """Metrics of the dual encoder and of the re-ranked order on validation, and on the test split if there is one."""
    splits: list[Split] = ["val", "test"] if len(data.rows["test"]) > 1 else ["val"]
    measured: dict[str, float] = {}
    for split in splits:
        gathered = embeddings_of(trained, data, split, device)
        metrics = RetrievalMetrics().to(device)
        metrics.update(*gathered)
        found = metrics.compute() | metrics.intervals() | look_again(trained, data, gathered, top_k)[1]
        measured |= {f"{split}/{name}": value for name, value in found.items()}
    return measured
