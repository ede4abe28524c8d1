"""Cached text features: the output of a frozen text tower for every training caption, computed once."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from rich.progress import track
from torch import Tensor

from imtext.data.captions import fingerprint
from imtext.data.datamodule import RetrievalDataModule
from imtext.data.rows import CachedRows, only_writer, write_rows
from imtext.models import TextEncoder
from imtext.preprocess.tokenizer import Tokenizer
from imtext.training.distributed import is_rank_zero
from imtext.training.features import digest_weights
from imtext.training.stages import Plan

log = logging.getLogger(__name__)
BATCH = 512  # captions per forward pass


class FrozenTextFeatures:
    """Cached features as a source of text for batches.

    Args:
        features: ``[all captions of rows, num_features]``.
        rows: rows of their images in the source.
        counts: number of captions of each of these images.
    """

    def __init__(self, features: CachedRows, rows: Sequence[int], counts: Sequence[int]) -> None:
        self.features = features
        starts = np.cumsum([0, *counts])[:-1].tolist()
        self.start = dict(zip(rows, starts, strict=True))

    def batch(self, captions: Sequence[tuple[int, int]]) -> Tensor:
        """Features ``[N, num_features]`` float32 of captions, each given by row and number within the row."""
        found = [self.features[self.start[row] + number] for row, number in captions]
        return torch.from_numpy(np.stack(found)).float()


def cache_text_features(
    encoder: TextEncoder, plan: Plan, data: RetrievalDataModule, device: torch.device, epochs: range
) -> dict[int, FrozenTextFeatures | None]:
    """Compute the text features that the stages of a plan need and that are not on disk yet.

    Features depend on the training captions, the tokenizer, and the weights and settings of the text tower. A
    fingerprint of all these is the name of the file.

    Args:
        encoder: text tower with the weights of the frozen tower.
        plan: the epochs in which text features are cached.
        data: after `setup`.
        device: device to compute on.
        epochs: the remaining epochs, counted from 0; features of other stages are not computed.

    Returns:
        Value of `RetrievalDataModule.text_features`: first epoch → features, or None for tokens.

    Raises:
        DataError: there is too little disk space, or the folder cannot be written.
    """
    return {
        stage.after_epochs: _cached(encoder, data, device) if stage.cache_text else None
        for stage in plan.stages_in(epochs)
    }


def _cached(encoder: TextEncoder, data: RetrievalDataModule, device: torch.device) -> FrozenTextFeatures:
    rows = data.rows["train"]
    captions = [caption for row in rows for caption in data.captions[row]]
    parts = [*captions, data.tokenizer.to_json(), digest_weights([encoder]), device.type]
    path = data.cache_dir / f"text-features-{fingerprint(parts)}.npy"
    with only_writer(path) as missing:
        if missing:
            _compute(encoder, captions, data.tokenizer, device, path)
    return FrozenTextFeatures(CachedRows(path), rows, [len(data.captions[row]) for row in rows])


@torch.no_grad()  # not inference_mode: parameters moved to another device in it cannot learn afterwards
def _compute(
    encoder: TextEncoder, captions: Sequence[str], tokenizer: Tokenizer, device: torch.device, path: Path
) -> None:
    training = encoder.training
    encoder.eval().to(device)

    def batches() -> Iterator[npt.NDArray[np.float16]]:
        for start in track(
            range(0, len(captions), BATCH), description="Text features", transient=True, disable=not is_rank_zero()
        ):
            ids, mask = (torch.from_numpy(each).to(device) for each in tokenizer(captions[start : start + BATCH]))
            yield encoder(ids, mask).half().cpu().numpy()

    shape = (len(captions), encoder.num_features)
    log.info("Features of %s captions: %.2f GB in %s", f"{len(captions):,}", len(captions) * shape[1] * 2 / 1e9, path)
    write_rows(path, shape, np.float16, batches())
    encoder.train(training)
