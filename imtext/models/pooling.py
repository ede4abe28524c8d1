"""From the states of all tokens to one vector."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Pooling = Literal["mean", "max", "first", "last"]


def pool(states: Tensor, attention_mask: Tensor, pooling: Pooling) -> Tensor:
    """Pool states ``[N, L, D]`` over real tokens, which come first, into ``[N, D]``.

    Args:
        states: of all tokens.
        attention_mask: ``[N, L]`` bool, True on real tokens.
        pooling: the ``mean`` or the ``max`` of all states, the ``first`` state or the ``last`` one.
    """
    if pooling == "max":
        return states.masked_fill(~attention_mask[:, :, None], torch.finfo(states.dtype).min).amax(dim=1)
    lengths = attention_mask.sum(dim=1)
    if pooling == "mean":
        return mean(states, attention_mask, lengths)
    if pooling == "first":
        return states[:, 0]
    return last(states, lengths)


def mean(states: Tensor, attention_mask: Tensor, lengths: Tensor) -> Tensor:
    """The mean over real tokens; `lengths` ``[N]`` are their numbers."""
    return (states * attention_mask[:, :, None]).sum(dim=1) / lengths[:, None]


def last(states: Tensor, lengths: Tensor) -> Tensor:
    """The state of the last real token; `lengths` ``[N]`` are the numbers of real tokens."""
    return states.gather(1, (lengths - 1)[:, None, None].expand(-1, 1, states.shape[2])).squeeze(1)
