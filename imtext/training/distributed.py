"""Several processes that train one model (`trainer=ddp`): gather their batches, and let one of them write files.

With one process, `gather` changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from lightning.pytorch import Trainer
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor


def world_size() -> int:
    """Number of processes that train together; 1 outside of a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Number of this process, from 0. Before the process group exists, it is the one that Lightning knows."""
    return dist.get_rank() if world_size() > 1 else int(rank_zero_only.rank)  # type: ignore[attr-defined]


def is_rank_zero() -> bool:
    """Whether this process is the one that writes files and prints results."""
    return rank() == 0


@contextmanager
def end_together(trainer: Trainer) -> Iterator[None]:
    """If this process fails, end those that it has started to help: they would wait for it for half an hour."""
    try:
        yield
    except BaseException:
        launcher = trainer.strategy.launcher
        if isinstance(launcher, _SubprocessScriptLauncher):
            helpers = list(launcher.procs)
            launcher.procs.clear()  # or Lightning would take their end for a failure, and kill this process
            for helper in helpers:
                helper.terminate()
        raise


def gather(tensor: Tensor) -> Tensor:
    """Concatenate a tensor's rows over all processes, in the order of their ranks.

    The loss needs the embeddings of every process as negatives. Each process computes the loss of the whole batch from
    the gathered rows. The backward pass sums the gradients of all processes for the rows of each process.
    DistributedDataParallel then averages over processes, so the parameters get the gradient that a single process would
    compute on the whole batch.

    Args:
        tensor: ``[n, …]``; n may differ between processes, but the other dimensions and the type may not.

    Returns:
        ``[sum of n, …]``, with gradient if `tensor` has one. With a single process it is `tensor` itself.
    """
    if world_size() == 1:
        return tensor
    gathered: Tensor = _Gather.apply(tensor)
    return gathered


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        own = torch.tensor([len(tensor)], device=tensor.device)
        counts = [torch.zeros_like(own) for _ in range(world_size())]
        dist.all_gather(counts, own)
        sizes = [int(count) for count in counts]
        ctx.rows = slice(sum(sizes[: rank()]), sum(sizes[: rank() + 1]))
        # Collectives need equal shapes, so shorter tensors are padded and then cut.
        padded = tensor.new_zeros(max(sizes), *tensor.shape[1:])
        padded[: len(tensor)] = tensor
        parts = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(parts, padded)
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous().clone()
        dist.all_reduce(total)
        return total[ctx.rows]
