"""Losses over pairs with several processes: captions go round, so that no process holds the pairs of all of them.

Zhai et al., "Sigmoid Loss for Language Image Pre-Training", ICCV 2023, section 3.3.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from imtext.data.batch import Batch
from imtext.losses import PairwiseLoss, Targets
from imtext.training.distributed import gather, rank, world_size
from imtext.training.targets import CAPTION_IDS, IMAGE_IDS, matches


def ring_loss(
    loss: PairwiseLoss, images: Tensor, texts: Tensor, batch: Batch, logit_scale: Tensor
) -> tuple[dict[str, Tensor], Tensor]:
    """The loss of the pictures and captions of all processes, with the gradients of this process's pictures.

    Each process compares its pictures with its own captions, gives the captions to the next process, takes those of the
    previous one, and so on until it has seen all captions. Gradients of captions go the same way back. So it holds B ×
    N pairs at a time, not those of all W processes, W · B × W · N; the backward pass computes the pairs again.
    DistributedDataParallel then averages over the processes, so the parameters get the gradient that a single process
    would compute on the whole batch.

    Args:
        loss: computes each part.
        images: ``[B, D]`` of unit length, of this process.
        texts: ``[N, D]`` of unit length, of this process; N may differ between processes.
        batch: of this process.
        logit_scale: see `Loss.forward`.

    Returns:
        The terms, and the chance level; equal in all processes.
    """
    processes, own = world_size(), rank()
    counts = gather(torch.tensor([len(texts)], device=texts.device)).tolist()
    of_images = [batch[name] for name in IMAGE_IDS]
    of_captions = [torch.split(gather(batch[name]), counts) for name in CAPTION_IDS]  # numbers only: small
    terms: dict[str, Tensor] = {}
    matching = torch.zeros((), device=texts.device)
    for hop in range(processes):
        owner = (own - hop) % processes
        if hop > 0:
            texts = _PassOn.apply(texts, counts[owner])
        positive = matches(*of_images, *(each[owner] for each in of_captions))
        matching += positive.sum()
        part = checkpoint(
            loss, images, texts, Targets(positive), logit_scale, use_reentrant=False, preserve_rng_state=False
        )
        # The mean over the captions of this part becomes a mean over all captions; `_Mean` divides by the processes.
        share = counts[owner] * processes / sum(counts)
        terms = {name: terms.get(name, 0) + share * value for name, value in part.items()}
    everything = torch.stack([matching, torch.full_like(matching, len(images))])
    dist.all_reduce(everything)
    chance = loss.chance_at(everything[0] / (everything[1] * sum(counts)), int(everything[1]))
    return {name: _Mean.apply(value) for name, value in terms.items()}, chance


class _PassOn(torch.autograd.Function):
    """Give a tensor to the next process, and take that of the previous one."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, rows: int) -> Tensor:
        ctx.rows = len(tensor)
        return _exchange(tensor, 1, rows)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _exchange(gradients[0], -1, ctx.rows), None


def _exchange(tensor: Tensor, step: int, rows: int) -> Tensor:
    """Send to the process that is `step` further, and receive `rows` rows from the one that is `step` before."""
    found = tensor.new_empty(rows, *tensor.shape[1:])
    operations = [
        dist.P2POp(dist.isend, tensor.contiguous(), (rank() + step) % world_size()),
        dist.P2POp(dist.irecv, found, (rank() - step) % world_size()),
    ]
    for work in dist.batch_isend_irecv(operations):
        work.wait()
    return found


class _Mean(torch.autograd.Function):
    """The mean over all processes. Each keeps its own gradient, as DistributedDataParallel averages them."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total / world_size()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]
