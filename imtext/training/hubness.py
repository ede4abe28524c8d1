"""Fit the correction of hubs to the training split, after training."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from imtext.data import RetrievalDataModule
from imtext.data.pictures import PER_PASS
from imtext.models import DualEncoder
from imtext.models.hubness import Queries
from imtext.training.features import FrozenFeatures

T = TypeVar("T")
log = logging.getLogger(__name__)
CAPTIONS = 256
MOST = 10_000  # pictures and captions that are clustered
SOFTNESS = 1.5  # temperature of the correction, as a multiple of the model's


@torch.no_grad()
def fit_hubness(model: DualEncoder, data: RetrievalDataModule, device: torch.device) -> None:
    """Fit the banks of a model; nothing happens if it has none.

    A bank holds the centres of clusters (k-means) of training pictures, or of training captions, weighted by the size
    of the clusters. Pictures come from the cached features of the last stage, if there are any.

    Args:
        model: trained.
        data: after `setup`.
        device: device to compute on.
    """
    if model.hubness is None:
        return
    started, training = time.monotonic(), model.training
    model.hubness.reset()
    model.to(device).eval()
    rng = np.random.default_rng(0)
    images, texts = (torch.cat(list(part(model, data, device, rng))).cpu() for part in (_images, _texts))
    of_images, of_texts = (Queries(each, *_centres(each, model.hubness.size)) for each in (images, texts))
    model.hubness.use(of_images, of_texts, SOFTNESS * model.temperature)
    model.train(training)
    log.info(
        "Hubs: corrected with %d pictures and %d captions of training, %.0f s", len(images), len(texts),
        time.monotonic() - started,
    )  # fmt: skip


def _images(
    model: DualEncoder, data: RetrievalDataModule, device: torch.device, rng: np.random.Generator
) -> Iterator[Tensor]:
    """Embeddings of training pictures, without their mirror images."""
    last = list(data.features.values())[-1:]
    source = last[0].first_view() if last and isinstance(last[0], FrozenFeatures) else data.pictures()
    rows = _sample(data.rows["train"], rng)
    for start in range(0, len(rows), PER_PASS):
        some = rows[start : start + PER_PASS]
        pictures = source.batch(some, [np.random.default_rng(0)] * len(some)).to(device)
        yield F.normalize(model.image_projection(model.image_encoder(pictures, source.first_block)), dim=-1)


def _texts(
    model: DualEncoder, data: RetrievalDataModule, device: torch.device, rng: np.random.Generator
) -> Iterator[Tensor]:
    """Embeddings of training captions."""
    captions = _sample([caption for row in data.rows["train"] for caption in data.captions[row]], rng)
    for start in range(0, len(captions), CAPTIONS):
        tokens = data.tokenizer(captions[start : start + CAPTIONS])
        ids, mask = (torch.from_numpy(each).to(device) for each in tokens)
        yield model.encode_text(ids, mask)


def _sample(items: list[T], rng: np.random.Generator) -> list[T]:
    return items if len(items) <= MOST else [items[at] for at in rng.choice(len(items), MOST, replace=False)]


def _centres(embeddings: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Centres ``[size, D]`` of clusters and their shares ``[size]``; the share of clusters that are not needed is 0."""
    from sklearn.cluster import MiniBatchKMeans

    count = min(size, len(embeddings))
    found = MiniBatchKMeans(count, random_state=0, n_init=1, batch_size=2048).fit(embeddings.numpy())
    centres, shares = torch.zeros(size, embeddings.shape[1]), torch.zeros(size)
    centres[:count] = torch.from_numpy(found.cluster_centers_)
    shares[:count] = torch.from_numpy(np.bincount(found.labels_, minlength=count) / len(embeddings))
    return centres, shares
