"""The base class of both towers: freezing."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from imtext.errors import ConfigError
from imtext.models.tower import Tower, check_tower


class Layers(Tower):
    num_features = 4

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5)) for _ in range(3)
        )

    @property
    def blocks(self) -> list[nn.Module]:
        return list(self.layers)


def modes(tower: Tower) -> list[set[bool]]:
    return [{module.training for module in block.modules()} for block in tower.blocks]


def test_frozen_blocks_are_in_evaluation_mode_as_a_whole() -> None:
    tower = Layers()
    tower.freeze(2)
    assert modes(tower) == [{False}, {False}, {True}]
    assert [{p.requires_grad for p in block.parameters()} for block in tower.blocks] == [{False}, {False}, {True}]
    inputs = torch.randn(8, 4)
    frozen = nn.Sequential(*tower.blocks[:2])
    before = {name: value.clone() for name, value in frozen.state_dict().items()}
    torch.testing.assert_close(tower.layers[1](tower.layers[0](inputs)), tower.layers[1](tower.layers[0](inputs)))
    assert all(value.equal(before[name]) for name, value in frozen.state_dict().items())


def test_training_mode_respects_freezing() -> None:
    tower = Layers()
    tower.freeze(1)
    assert modes(tower.eval()) == [{False}] * 3
    assert modes(tower.train()) == [{False}, {True}, {True}]
    assert modes(nn.ModuleList([tower]).train()[0]) == [{False}, {True}, {True}]  # type: ignore[arg-type]
    tower.freeze(0)
    assert modes(tower) == [{True}] * 3
    assert all(parameter.requires_grad for parameter in tower.parameters())


def test_freezing_in_evaluation_keeps_evaluation() -> None:
    tower = Layers().eval()
    tower.freeze(1)
    assert modes(tower) == [{False}] * 3


@pytest.mark.parametrize("blocks", [-1, 4])
def test_only_existing_blocks_can_be_frozen(blocks: int) -> None:
    with pytest.raises(ValueError, match="Layers has 3 blocks"):
        Layers().freeze(blocks)


def test_a_parameter_outside_of_the_blocks_is_named() -> None:
    tower = Layers()
    tower.position = nn.Parameter(torch.zeros(4))
    with pytest.raises(ConfigError, match=r"Layers\.blocks must contain every parameter; position is in none"):
        check_tower(tower)


def test_a_missing_size_is_named() -> None:
    tower = Layers()
    tower.num_features = None  # type: ignore[assignment]
    with pytest.raises(ConfigError, match="integer `num_features`"):
        check_tower(tower)
