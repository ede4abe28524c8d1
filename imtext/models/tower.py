"""The base class of both towers: a sequence of blocks. The lower blocks can be frozen."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Self

from torch import nn

from imtext.errors import ConfigError


class Tower(nn.Module, ABC):
    """A network in blocks, from the input up. `freeze` and layer-wise learning rates count these blocks.

    Every parameter belongs to one of the blocks, so that freezing all blocks freezes the tower. `blocks` may group
    modules in a new `nn.ModuleList`. If that list is not stored as an attribute, the names in the state dict do not
    change.

    Attributes:
        num_features: size of the output ``[·, num_features]``.
        num_frozen: number of frozen blocks.
        low_rank: only the added low-rank matrices learn (LoRA), in blocks that are not frozen.
    """

    num_features: int
    num_frozen: int = 0
    low_rank: bool = False

    @property
    @abstractmethod
    def blocks(self) -> list[nn.Module]:
        """All blocks, from the input up."""

    def freeze(self, blocks: int) -> None:
        """Freeze the first blocks and let the others learn.

        A frozen block keeps its weights and stays in evaluation mode: its dropout is off and its batch statistics do
        not change.

        Args:
            blocks: number of blocks to freeze, 0 for none.

        Raises:
            ValueError: the tower has fewer blocks.
        """
        if not 0 <= blocks <= len(self.blocks):
            raise ValueError(f"{type(self).__name__} has {len(self.blocks)} blocks, so {blocks} cannot be frozen")
        self.num_frozen = blocks
        for number, block in enumerate(self.blocks):
            for name, parameter in block.named_parameters():
                parameter.requires_grad_(number >= blocks and (not self.low_rank or "lora_" in name))
        self.train(self.training)

    def settings_without_files(self) -> dict[str, Any]:
        """Settings that rebuild this tower without the files it came from: they replace those of its run.

        Checkpoints hold them. Weights are not needed; a network whose shape is read from a file returns its shape.
        """
        return {}

    def merge_adapters(self) -> None:
        """Add what low-rank matrices have learnt to the weights they belong to; called before an export."""
        if self.low_rank:
            from imtext.models.low_rank import merge_into  # here, because it knows towers

            merge_into(self)

    def train(self, mode: bool = True) -> Self:
        """Set training mode, except for frozen blocks."""
        super().train(mode)
        for block in self.blocks[: self.num_frozen]:
            block.eval()
        return self


def check_tower(tower: Tower) -> None:
    """Refuse a tower that breaks the contract.

    Raises:
        ConfigError: `num_features` is missing, or a parameter belongs to no block.
    """
    name = type(tower).__name__
    if not isinstance(getattr(tower, "num_features", None), int):
        raise ConfigError(f"{name} must have an integer `num_features`, the size of its output")
    in_blocks = {id(parameter) for block in tower.blocks for parameter in block.parameters()}
    outside = [key for key, parameter in tower.named_parameters() if id(parameter) not in in_blocks]
    if outside:
        raise ConfigError(f"{name}.blocks must contain every parameter; {', '.join(outside[:3])} is in none of them")
