"""The plan of a training: how much of the image tower learns when, and what is cached meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from imtext.errors import ConfigError


@dataclass(frozen=True)
class Stage:
    """Epochs in which the lower blocks of the image tower stand still.

    Frozen blocks make the same of the same picture every time. With `views` that is computed once and read from disk
    from then on, so that an epoch costs only the blocks above, the text tower and the projections.

    Args:
        after_epochs: the stage begins after so many epochs, and lasts until the next one begins.
        frozen_blocks: blocks of the image tower, counted from the picture, that keep their weights and their batch
            statistics; ``all``, or 0 for none.
        views: cached variants of each training picture, the first as it is, the others each augmented in its own way;
            every epoch draws one of them. 0 caches nothing and augments anew in every epoch.
    """

    after_epochs: int = 0
    frozen_blocks: int | Literal["all"] = 0
    views: int = 0

    def __post_init__(self) -> None:
        if self.after_epochs < 0 or self.views < 0:
            raise ConfigError("after_epochs and views of a stage count from 0")
        if isinstance(self.frozen_blocks, str) and self.frozen_blocks != "all":
            raise ConfigError(f"frozen_blocks of a stage is `all` or a number, not {self.frozen_blocks!r}")
        if self.views and not self.frozen_blocks:
            raise ConfigError(f"a stage with views={self.views} and frozen_blocks=0: only frozen blocks can be cached")


class Plan:
    """The stages of a training, in the order in which they begin.

    Args:
        stages: by name; without any, everything learns from the first epoch.
        num_blocks: of the image tower.

    Raises:
        ConfigError: no stage at the beginning, two at once, or blocks frozen again that have learnt: what has been
            cached of them, here and by other trainings, would belong to other weights.
    """

    def __init__(self, stages: Mapping[str, Stage | None] | None, num_blocks: int) -> None:
        wanted = {name: stage for name, stage in (stages or {}).items() if stage is not None} or {"whole": Stage()}
        self.stages: dict[str, Stage] = {}
        frozen_before, begun = num_blocks, -1
        for name, stage in sorted(wanted.items(), key=lambda item: item[1].after_epochs):
            frozen = num_blocks if stage.frozen_blocks == "all" else int(stage.frozen_blocks)
            if begun < 0 and stage.after_epochs > 0:
                raise ConfigError(f"stages.{name}.after_epochs={stage.after_epochs}: no stage begins the training (0)")
            if stage.after_epochs == begun:
                raise ConfigError(f"stages.{name}.after_epochs={begun}: another stage begins there")
            if not 0 <= frozen <= num_blocks:
                raise ConfigError(f"stages.{name}.frozen_blocks={frozen}: the image tower has {num_blocks} blocks")
            if frozen > frozen_before:
                raise ConfigError(
                    f"stages.{name}.frozen_blocks={frozen}: {frozen_before} were frozen before it, and blocks that "
                    "have learnt cannot be frozen again"
                )
            self.stages[name] = replace(stage, frozen_blocks=frozen)
            frozen_before, begun = frozen, stage.after_epochs

    def stages_in(self, epochs: range) -> list[Stage]:
        """The stages that a range of epochs, counted from 0, passes through."""
        return [self.stages[name] for name in dict.fromkeys(self.name_at(epoch) for epoch in epochs)]

    def name_at(self, epoch: int) -> str:
        """The stage of an epoch, counted from 0."""
        return [name for name, stage in self.stages.items() if stage.after_epochs <= epoch][-1]

    def frozen_blocks(self, epoch: int) -> int:
        """How many blocks of the image tower stand still in an epoch, counted from 0."""
        return int(self.stages[self.name_at(epoch)].frozen_blocks)
