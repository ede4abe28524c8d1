"""GradCache: contrastive batches whose activations do not fit into memory, with the gradients of the whole batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from imtext.errors import ConfigError
from imtext.models import DualEncoder
from imtext.models.image_encoder import batch_norms
from imtext.training.stages import Plan

Contexts = tuple[AbstractContextManager[None], AbstractContextManager[None]]


def in_chunks(encode: Callable[..., Tensor], chunks: int, *inputs: Tensor) -> Tensor:
    """Encode a batch in parts that do not keep their activations.

    Only the embeddings are kept. The backward pass encodes one part after the other again, with the same dropout, and
    so needs the activations of one part at a time. The loss sees all embeddings, so it has the negatives of the whole
    batch and every gradient is that of the whole batch. The price is a second forward pass.

    Gao et al., "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup", RepL4NLP 2021. Their cache of
    gradients of embeddings is what automatic differentiation holds between two checkpoints (Chen et al., "Training Deep
    Nets with Sublinear Memory Cost", 2016).

    Args:
        encode: maps rows of the inputs to embeddings, each row independently of the others.
        chunks: number of parts, of equal size as far as possible. With one, or without gradients, the batch is encoded
            at once.
        inputs: tensors ``[N, …]``.

    Returns:
        What ``encode(*inputs)`` returns, ``[N, D]``.
    """
    if chunks <= 1 or not torch.is_grad_enabled():
        return encode(*inputs)
    device = inputs[0].device.type
    parts = zip(*(each.tensor_split(chunks) for each in inputs), strict=True)
    embeddings = [
        checkpoint(encode, *part, use_reentrant=False, preserve_rng_state=True, context_fn=lambda: same_draws(device))
        for part in parts
        if len(part[0])
    ]
    return torch.cat(embeddings)


def number_of_chunks(images: int, grad_cache: int | None) -> int:
    """Number of parts of a batch of so many pictures, with at most `grad_cache` pictures each; None: one part."""
    return 1 if grad_cache is None else math.ceil(images / grad_cache)


def same_draws(device: str) -> Contexts:
    """Contexts of the first and of the second pass of a part, in which dropout on MPS draws the same.

    For the CPU and for CUDA, torch does this itself.
    """
    if device != "mps":
        return nullcontext(), nullcontext()
    state = torch.mps.get_rng_state()

    @contextmanager
    def second_pass() -> Iterator[None]:
        later = torch.mps.get_rng_state()
        torch.mps.set_rng_state(state)
        try:
            yield
        finally:
            torch.mps.set_rng_state(later)

    return nullcontext(), second_pass()


def check_grad_cache(grad_cache: int | None, model: DualEncoder, plan: Plan) -> None:
    """Refuse a tower whose batch norms learn: they would see parts of the batch, and each part twice.

    Raises:
        ConfigError: in one of the stages, batch norms of the image tower are in training mode.
    """
    name = stage_with_batch_norms(model, plan)
    if grad_cache is not None and name is not None:
        raise ConfigError(
            f"grad_cache={grad_cache}: in stage {name} the batch norms of the image tower average over the batch, "
            f"and would see {grad_cache} pictures at a time. Set model.image_encoder.train_batch_norm=false, "
            "freeze all blocks with batch norms, or leave grad_cache=null"
        )


def stage_with_batch_norms(model: DualEncoder, plan: Plan) -> str | None:
    """The first stage in which batch norms of the image tower learn; None if they never do."""
    tower = model.image_encoder
    if not tower.train_batch_norm:
        return None
    stages = plan.stages.items()
    return next(
        (name for name, each in stages if batch_norms(nn.ModuleList(tower.blocks[int(each.frozen_blocks) :]))), None
    )
