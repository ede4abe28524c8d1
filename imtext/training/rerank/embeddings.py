"""Embeddings of a split by a trained dual encoder, computed once and kept on disk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from imtext.data import RetrievalDataModule
from imtext.data.captions import Split, fingerprint
from imtext.data.rows import only_writer, write_rows
from imtext.evaluation.embed import embed_split
from imtext.evaluation.reranking import Gathered
from imtext.training.checkpoints import TrainedModel
from imtext.training.features import digest_weights


def embeddings_of(trained: TrainedModel, data: RetrievalDataModule, split: Split, device: torch.device) -> Gathered:
    """All pictures and captions of a split, each once, in ascending order of the ids.

    Args:
        trained: the dual encoder, in evaluation mode; is moved to `device`.
        data: after `setup`.
        split: the split.
        device: device to compute on.

    Returns:
        As `RetrievalMetrics.gathered`, on `device`.

    Raises:
        DataError: there is too little disk space, or the folder cannot be written.
    """
    rows = sorted(data.rows[split])
    owners = [row for row in rows for _ in data.captions[row]]
    parts = [
        data.fingerprint,
        str(rows),
        str(data.preprocess),
        trained.tokenizer.to_json(),
        digest_weights([trained.model]),
        device.type,
    ]
    path = data.cache_dir / f"embeddings-{fingerprint(parts)}.npy"
    with only_writer(path) as missing:
        if missing:

            def blocks() -> Iterator[npt.NDArray[Any]]:
                metrics = embed_split(trained.model, data.eval_dataloader(split), device, f"Embedding {split}")
                images, texts, *_ = metrics.gathered()
                yield torch.cat([images, texts]).cpu().numpy()

            write_rows(path, (len(rows) + len(owners), trained.model.embed_dim), np.float32, blocks())
    both = torch.from_numpy(np.load(path)).to(device)
    return both[: len(rows)], both[len(rows) :], torch.tensor(rows, device=device), torch.tensor(owners, device=device)
