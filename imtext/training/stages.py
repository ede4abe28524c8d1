"""The plan of a run: the blocks of the towers that learn in each epoch, and the features that are cached."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from imtext.errors import ConfigError

log = logging.getLogger(__name__)
Blocks = int | Literal["all"]
# The settings of a stage that count blocks → the tower they belong to.
TOWERS = {"frozen_blocks": "image tower", "frozen_text_blocks": "text tower"}


@dataclass(frozen=True)
class Stage:
    """Epochs in which the lower blocks of the towers are frozen.

    The output of frozen blocks for the same input never changes. With `views` or `cache_text` it is computed once and
    then read from disk, so that an epoch computes only the blocks above.

    Args:
        after_epochs: the stage begins after this many epochs and lasts until the next stage begins.
        frozen_blocks: number of blocks of the image tower, counted from the picture, that keep their weights and
            batch statistics; ``all``, 0 for none, or below zero for all but the last.
        views: cached variants of each training picture. The first is the picture without augmentation, the others are
            augmented; every epoch draws one of them. 0 caches nothing and augments again in every epoch.
        frozen_text_blocks: number of blocks of the text tower, counted from the words, that keep their weights;
            ``all``, 0 for none, or below zero for all but the last.
        cache_text: cache the features of the training captions; needs ``frozen_text_blocks=all``.

    Raises:
        ConfigError: a value is out of range, or features are cached without frozen blocks.
    """

    after_epochs: int = 0
    frozen_blocks: Blocks = 0
    views: int = 0
    frozen_text_blocks: Blocks = 0
    cache_text: bool = False

    def __post_init__(self) -> None:
        if self.after_epochs < 0 or self.views < 0:
            raise ConfigError("after_epochs and views of a stage must be 0 or more")
        for name in TOWERS:
            value = getattr(self, name)
            if isinstance(value, str) and value != "all":
                raise ConfigError(f"{name} of a stage must be `all` or a number, not {value!r}")
        if self.views and not self.frozen_blocks:
            raise ConfigError(f"a stage with views={self.views} needs frozen_blocks: only frozen blocks can be cached")
        if self.cache_text and not self.frozen_text_blocks:
            raise ConfigError("a stage with cache_text=true needs frozen_text_blocks=all")


class Plan:
    """The stages of a run, in the order in which they begin.

    Args:
        stages: stages by name; without any, everything learns from the first epoch.
        num_image_blocks: number of blocks of the image tower.
        num_text_blocks: number of blocks of the text tower.

    Attributes:
        stages: stages with the number of blocks instead of ``all``.

    Raises:
        ConfigError: no stage begins at epoch 0, two stages begin together, a tower has fewer blocks, or a stage
            freezes blocks that have learnt, so that features cached by an earlier stage or run belong to other weights.
    """

    def __init__(self, stages: Mapping[str, Stage | None] | None, num_image_blocks: int, num_text_blocks: int) -> None:
        wanted = {name: stage for name, stage in (stages or {}).items() if stage is not None} or {"whole": Stage()}
        sizes = {"frozen_blocks": num_image_blocks, "frozen_text_blocks": num_text_blocks}
        self.stages: dict[str, Stage] = {}
        before = replace(Stage(after_epochs=0), **sizes)  # type: ignore[arg-type]
        for name, stage in sorted(wanted.items(), key=lambda item: item[1].after_epochs):
            if not self.stages and stage.after_epochs > 0:
                raise ConfigError(f"stages.{name}.after_epochs={stage.after_epochs}: one stage must begin at 0")
            if self.stages and stage.after_epochs == before.after_epochs:
                raise ConfigError(f"stages.{name}.after_epochs={stage.after_epochs}: another stage begins there")
            before = self.stages[name] = _resolved(name, stage, sizes, before)

    def stages_in(self, epochs: range) -> list[Stage]:
        """The stages of a range of epochs, counted from 0."""
        return [self.stages[name] for name in dict.fromkeys(self.name_at(epoch) for epoch in epochs)]

    def name_at(self, epoch: int) -> str:
        """The name of the stage of an epoch, counted from 0."""
        return [name for name, stage in self.stages.items() if stage.after_epochs <= epoch][-1]

    def caches_text(self, epoch: int) -> bool:
        """Whether an epoch, counted from 0, takes the features of captions from the cache."""
        return self.stages[self.name_at(epoch)].cache_text

    def frozen_blocks(self, epoch: int) -> int:
        """Number of frozen blocks of the image tower in an epoch, counted from 0."""
        return int(self.stages[self.name_at(epoch)].frozen_blocks)

    def frozen_text_blocks(self, epoch: int) -> int:
        """Number of frozen blocks of the text tower in an epoch, counted from 0."""
        return int(self.stages[self.name_at(epoch)].frozen_text_blocks)


def uncached(stages: Mapping[str, Stage | None]) -> dict[str, Stage | None]:
    """The same stages without cached features, for data that is a stream; says so if that changes one."""
    if any(stage and (stage.views or stage.cache_text) for stage in stages.values()):
        log.info("Features of frozen blocks are not cached, because training data is a stream: they are computed anew")
    return {name: stage and replace(stage, views=0, cache_text=False) for name, stage in stages.items()}


def _resolved(name: str, stage: Stage, sizes: dict[str, int], before: Stage) -> Stage:
    """A stage with numbers instead of ``all``, checked against the towers and the previous stage."""
    frozen: dict[str, int] = {}
    for setting, tower in TOWERS.items():
        value, size, earlier = getattr(stage, setting), sizes[setting], getattr(before, setting)
        number = size if value == "all" else int(value) + size * (int(value) < 0)
        frozen[setting] = number
        if not 0 <= number <= size:
            raise ConfigError(f"stages.{name}.{setting}={number}: the {tower} has {size} block{'s' * (size != 1)}")
        if number > earlier:
            raise ConfigError(
                f"stages.{name}.{setting}={number}: only {earlier} are frozen in the stage before, and blocks that "
                "have learnt cannot be frozen again"
            )
    if stage.cache_text and frozen["frozen_text_blocks"] < sizes["frozen_text_blocks"]:
        raise ConfigError(f"stages.{name}.cache_text=true needs stages.{name}.frozen_text_blocks=all")
    return replace(stage, **frozen)  # type: ignore[arg-type]
