"""The plan of a run: the blocks of each tower that learn in each epoch."""

from __future__ import annotations

import logging

import pytest

from imtext.errors import ConfigError
from imtext.training.stages import Plan, Stage, uncached


def test_stages_follow_each_other() -> None:
    stages = {"top": Stage(2, 9, 4), "heads": Stage(0, "all", 4), "whole": Stage(5)}
    plan = Plan(stages, 14, 2)
    assert [plan.frozen_blocks(epoch) for epoch in range(7)] == [14, 14, 9, 9, 9, 0, 0]
    assert [plan.name_at(epoch) for epoch in (0, 4, 100)] == ["heads", "top", "whole"]


def test_without_stages_everything_learns() -> None:
    assert Plan(None, 14, 2).frozen_blocks(0) == Plan({"whole": None}, 14, 2).frozen_blocks(3) == 0


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ({"late": Stage(1)}, r"stages\.late\.after_epochs=1: one stage must begin at 0"),
        ({"one": Stage(), "two": Stage(0, 3)}, r"stages\.two\.after_epochs=0: another stage"),
        ({"one": Stage(0, 15)}, "the image tower has 14 blocks"),
        ({"one": Stage(), "two": Stage(2, "all")}, r"stages\.two\.frozen_blocks=14.*cannot be frozen again"),
        ({"one": Stage(frozen_text_blocks=3)}, r"stages\.one\.frozen_text_blocks=3: the text tower has 2 blocks"),
        ({"one": Stage(), "two": Stage(2, frozen_text_blocks=1)}, r"two\.frozen_text_blocks=1.*cannot be frozen again"),
        ({"one": Stage(frozen_text_blocks=1, cache_text=True)}, r"cache_text=true needs .*frozen_text_blocks=all"),
    ],
)
def test_impossible_plans(stages: dict[str, Stage], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Plan(stages, 14, 2)


def test_a_tower_of_one_block() -> None:
    with pytest.raises(ConfigError, match=r"the text tower has 1 block$"):
        Plan({"one": Stage(frozen_text_blocks=2)}, 14, 1)


def test_blocks_are_counted_from_the_top_as_well() -> None:
    plan = Plan({"one": Stage(frozen_blocks=-2, views=3, frozen_text_blocks=-1)}, 14, 3)
    assert (plan.frozen_blocks(0), plan.frozen_text_blocks(0)) == (12, 2)
    with pytest.raises(ConfigError, match="the image tower has 14 blocks"):
        Plan({"one": Stage(frozen_blocks=-15)}, 14, 3)


def test_the_text_tower_is_frozen_by_itself() -> None:
    stages = {"heads": Stage(0, 9, 4, "all", cache_text=True), "words": Stage(2, 9, 4, 1), "whole": Stage(3)}
    plan = Plan(stages, 14, 2)
    assert [plan.frozen_text_blocks(epoch) for epoch in range(4)] == [2, 2, 1, 0]
    assert [plan.frozen_blocks(epoch) for epoch in range(4)] == [9, 9, 9, 0]
    assert [stage.cache_text for stage in plan.stages_in(range(4))] == [True, False, False]


@pytest.mark.parametrize(
    "values", [(-1, 0, 0), (0, "most", 0), (0, 0, 8), (0, "all", -1), (0, 0, 0, "most"), (0, 0, 0, 0, True)]
)
def test_impossible_stages(values: tuple[int, int, int]) -> None:
    with pytest.raises(ConfigError, match="stage"):
        Stage(*values)


def test_a_stream_caches_nothing(caplog: pytest.LogCaptureFixture) -> None:
    given = {"heads": Stage(0, "all", 8, "all", True), "gone": None}
    with caplog.at_level(logging.INFO):
        found = uncached({"whole": Stage(), "gone": None})
        assert found == {"whole": Stage(), "gone": None}
        assert not caplog.messages
        assert uncached(given) == {"heads": Stage(0, "all", 0, "all", False), "gone": None}
    assert "not cached" in caplog.text
