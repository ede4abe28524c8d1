"""Whether a run has enough steps to learn something: few pictures make few steps."""

from __future__ import annotations

import logging
import math

log = logging.getLogger(__name__)

ENOUGH = 100  # steps of a run; see docs/train.md for what fewer are worth
PER_EPOCH = 4  # batches of an epoch that smaller batches should give
SMALLEST = 8  # images of a batch, whose captions are each other's negatives


def enough_steps(images: int, batch_size: int) -> tuple[int, int]:
    """Settings with which few images make enough steps.

    Args:
        images: number of training images.
        batch_size: images of a batch, as set.

    Returns:
        A batch size that gives an epoch several batches, if it is not below 8, and the number of epochs.
    """
    while batch_size >= 2 * SMALLEST and images // batch_size < PER_EPOCH:
        batch_size //= 2
    return batch_size, math.ceil(ENOUGH / max(1, images // batch_size))


def warn_about_few_steps(images: int, batch_size: int, epochs: int) -> None:
    """Say which settings to change if a run has so few steps that it will learn little.

    Args:
        images: number of training images.
        batch_size: images of a batch.
        epochs: number of epochs.
    """
    batches = max(1, images // batch_size)
    if batches * epochs >= ENOUGH:
        return
    better, more = enough_steps(images, batch_size)
    changes = [f"data.batch_size={better}"] if better != batch_size else []
    log.warning(
        "This run has only %d steps, %d in each epoch, and will learn little. Add %s, which make %d steps",
        batches * epochs,
        batches,
        " ".join([*changes, f"trainer.max_epochs={more}"]),
        more * max(1, images // better),
    )
