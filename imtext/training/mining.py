"""Mining: for every training picture, other pictures that its captions score high."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.utilities.seed import isolate_rng
from rich.progress import track
from torch import Tensor

from imtext.data.datamodule import RetrievalDataModule
from imtext.data.dataset import ImageSource
from imtext.data.order import Neighbours, Positions
from imtext.data.order.neighbours import NONE
from imtext.data.pictures import PER_PASS
from imtext.training.features import FrozenFeatures
from imtext.training.module import RetrievalModule

log = logging.getLogger(__name__)
BLOCK = 2**24  # scores in memory at a time


@dataclass(frozen=True)
class Found:
    """What a search for neighbours found; means are over all pairs.

    Attributes:
        neighbours: ``[N, num_neighbours]`` int64, the nearest first, padded by -1.
        positive: mean score of a picture and its captions.
        mined: mean score of a picture's captions and its neighbours.
        random: mean score of a picture's captions and another picture.
        shared: share of the nearest candidates that a picture shares a text with.
        too_near: share of the nearest candidates that score above `max_ratio` times the picture itself.
        alone: share of pictures without any neighbour.
    """

    neighbours: Tensor
    positive: float
    mined: float
    random: float
    shared: float
    too_near: float
    alone: float


def mine(
    trainer: Trainer, module: RetrievalModule, data: RetrievalDataModule, order: Neighbours, epoch: int
) -> Positions:
    """Mine the neighbours of all training pictures for an epoch, and log what was found.

    Returns:
        ``[N, num_neighbours]``, positions in the training split; see `Neighbours.neighbours`.
    """
    started = time.monotonic()
    images, texts = embed_training(trainer, module, data, epoch)
    rows = data.rows["train"]
    found = find_neighbours(images, texts, data.shared_texts.of_images(rows), order)
    log.info(
        "Neighbours for epoch %d: %s pictures in %.1f s. Mean score of captions and their picture %.3f, its neighbours "
        "%.3f, any other %.3f", epoch + 1, f"{len(rows):,}", time.monotonic() - started,
        found.positive, found.mined, found.random,
    )  # fmt: skip
    log.info(
        "Left out of the %d nearest: %.1f %% share the text of a caption, %.1f %% score above %g times the picture. "
        "Pictures without a neighbour: %.1f %%", order.num_neighbours + order.skip,
        100 * found.shared, 100 * found.too_near, order.max_ratio, 100 * found.alone,
    )  # fmt: skip
    if len(some := (found.neighbours[:, 0] != NONE).nonzero()[:, 0]):
        example = int(some[epoch % len(some)])
        one, other = (data.captions[rows[at]][0] for at in (example, int(found.neighbours[example, 0])))
        log.info("Neighbours, for example: %s | %s", one, other)
    return found.neighbours.numpy()


def embed_training(
    trainer: Trainer, module: RetrievalModule, data: RetrievalDataModule, epoch: int
) -> tuple[Tensor, Tensor]:
    """Embed all training pictures without augmentation, and all their captions, with the weights that train.

    Features of frozen blocks are read from the cache that the epoch uses. The random state and the modes of the
    modules are left as they were.

    Returns:
        ``[N, D]`` pictures and ``[N, D]`` the mean of each picture's captions, float32, on the device of the run.
    """
    rows, source = data.rows["train"], _pictures(data, epoch)
    text_source = [None, *(features for first, features in data.text_features.items() if first <= epoch)][-1]
    device, images, texts = trainer.strategy.root_device, [], []
    with isolate_rng(), _evaluating(module), torch.no_grad(), trainer.precision_plugin.forward_context():
        for start in track(range(0, len(rows), PER_PASS), description="Mining", transient=True):
            some = rows[start : start + PER_PASS]
            pictures = source.batch(some, [np.random.default_rng(0)] * len(some))
            pictures = trainer.precision_plugin.convert_input(pictures).to(device)
            images.append(module.model.encode_image(pictures, first_block=source.first_block).float())
            captions = [(row, number) for row in some for number in range(len(data.captions[row]))]
            if text_source is not None:
                features = trainer.precision_plugin.convert_input(text_source.batch(captions)).to(device)
                each = module.model.encode_text_features(features).float()
            else:
                tokens = data.tokenizer([data.captions[row][number] for row, number in captions])
                ids, mask = (torch.from_numpy(part).to(device) for part in tokens)
                each = module.model.encode_text(ids, mask).float()
            counts = [len(data.captions[row]) for row in some]
            texts += [part.mean(dim=0, keepdim=True) for part in torch.split(each, counts)]
    return torch.cat(images), torch.cat(texts)


def find_neighbours(images: Tensor, texts: Tensor, shared: Tensor, order: Neighbours) -> Found:
    """Search the neighbours of all pictures, in blocks of pictures, so that memory is bounded.

    The score of two pictures is the mean similarity of the captions of the first and the second.

    Args:
        images: ``[N, D]``, embeddings of the pictures.
        texts: ``[N, D]``, mean embeddings of each picture's captions.
        shared: ``[N, S]`` int64, ids of the texts that a picture shares with others; padded by numbers below 0.
        order: the number of neighbours and the guards.
    """
    count, wanted = len(images), order.num_neighbours + order.skip
    owners = _owners(shared)
    own = (images * texts).sum(dim=1)
    neighbours, sums = [], torch.zeros(4, dtype=torch.float64)  # mined, their number, shared, too near
    rows = max(1, BLOCK // count)
    for start in range(0, count, rows):
        block = torch.arange(start, min(start + rows, count), device=images.device)
        scores = texts[block] @ images.T
        scores[block - start, block] = -torch.inf
        nearest = scores.topk(wanted).indices
        same = torch.zeros_like(scores, dtype=torch.bool)
        for number, position in enumerate(block.tolist()):
            for text in set(shared[position].tolist()):
                if text >= 0:
                    same[number, owners[text]] = True
        near = scores > order.max_ratio * own[block, None]
        guarded = scores.masked_fill(same | near, -torch.inf).topk(wanted)
        values, chosen = guarded.values[:, order.skip :], guarded.indices[:, order.skip :]
        known = values.isfinite()
        neighbours.append(chosen.masked_fill(~known, NONE).cpu())
        parts = (values[known].cpu().double(), known, same.gather(1, nearest), (near & ~same).gather(1, nearest))
        sums += torch.stack([part.sum().cpu().double() for part in parts])  # MPS has no double precision
    found = torch.cat(neighbours)
    mined, number, duplicates, close = sums.tolist()
    own = own.cpu().double()
    everything = texts.cpu().double().sum(dim=0) @ images.cpu().double().sum(dim=0) - own.sum()
    return Found(
        found,
        positive=float(own.mean()),
        mined=mined / max(1, number),
        random=float(everything) / (count * (count - 1)),
        shared=duplicates / (count * wanted),
        too_near=close / (count * wanted),
        alone=float((found == NONE).all(dim=1).float().mean()),
    )


def _owners(shared: Tensor) -> dict[int, list[int]]:
    """Shared text → the pictures that have it."""
    owners = defaultdict(list)
    for position, texts in enumerate(shared.tolist()):
        for text in set(texts):
            owners[text].append(position)
    return owners


def _pictures(data: RetrievalDataModule, epoch: int) -> ImageSource:
    """The source of an epoch's pictures, without augmentation.

    Features of several sizes (`data.scales`) have the plain view of one size only, so pictures take their place.
    """
    source = [None, *(features for first, features in data.features.items() if first <= epoch)][-1]
    return source.first_view() if isinstance(source, FrozenFeatures) else data.pictures()


@contextmanager
def _evaluating(module: RetrievalModule) -> Iterator[None]:
    """Evaluation mode without mirrored pictures, which cached features do not have."""
    modes = {part: part.training for part in module.modules()}
    mirror, module.model.mirror = module.model.mirror, False
    module.eval()
    try:
        yield
    finally:
        module.model.mirror = mirror
        for part, training in modes.items():  # not `train()`: frozen blocks are in evaluation mode
            part.training = training
