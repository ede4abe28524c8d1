"""timm's networks in blocks: the sequence computes what the network computes, with the same parameters."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from imtext.errors import ConfigError
from imtext.models.timm_encoder import TimmEncoder
from imtext.models.tower import check_tower

# Name, size of a picture, number of blocks, places × features of the tokens.
FAMILIES = [
    ("tf_efficientnet_lite0", 32, 19, (1, 1280)),
    ("mobilenetv3_small_050", 64, 14, (4, 288)),
    ("vit_tiny_patch16_224", 32, 14, (4, 192)),
    ("vit_small_patch14_reg4_dinov2", 42, 14, (9, 384)),
    ("vit_small_patch16_dinov3", 32, 14, (4, 384)),
    ("resnet18", 64, 10, (4, 512)),
    ("convnext_atto", 64, 14, (4, 320)),
]
by_family = pytest.mark.parametrize(
    ("name", "size", "blocks", "tokens"), FAMILIES, ids=[family[0] for family in FAMILIES]
)


@by_family
def test_blocks_compute_what_the_network_computes(name: str, size: int, blocks: int, tokens: tuple[int, int]) -> None:
    tower, image = TimmEncoder(name, None, image_size=size).eval(), torch.randn(2, 3, size, size)
    check_tower(tower)
    with torch.no_grad():
        expected = tower.network(image)
        assert len(tower.blocks) == blocks
        torch.testing.assert_close(tower(image), expected, atol=1e-4, rtol=1e-4)
        for number in (1, blocks // 2, blocks - 1, blocks):
            lower = tower.lower(image, number)
            torch.testing.assert_close(tower(lower, number), expected, atol=1e-4, rtol=1e-4)
        found = tower.tokens(image)
        assert found.shape == (2, *tokens)
        assert tower.num_token_features == tokens[1]
        torch.testing.assert_close(tower.tokens(tower.lower(image, 2), 2), found)
        torch.testing.assert_close(tower.tokens(tower.lower(image, blocks - 1), blocks - 1), found)
    assert expected.shape == (2, tower.num_features)


@by_family
def test_frozen_blocks_do_not_change(name: str, size: int, blocks: int, tokens: tuple[int, int]) -> None:
    tower = TimmEncoder(name, None, image_size=size)
    frozen = blocks - 2
    tower.freeze(frozen)
    tower.train()
    before = {key: value.clone() for key, value in tower.state_dict().items()}
    fixed = {id(value) for block in tower.blocks[:frozen] for value in block.state_dict(keep_vars=True).values()}
    tower(torch.randn(4, 3, size, size)).square().sum().backward()
    torch.optim.SGD(tower.parameters(), lr=1e-3).step()
    for key, value in tower.state_dict(keep_vars=True).items():
        assert id(value) not in fixed or value.equal(before[key]), key
    assert any(
        not value.equal(before[key])
        for key, value in tower.state_dict(keep_vars=True).items()
        if id(value) not in fixed and isinstance(value, nn.Parameter)
    )


def test_a_copy_has_blocks_of_its_own() -> None:
    tower, image = TimmEncoder("vit_tiny_patch16_224", None, image_size=32).eval(), torch.randn(1, 3, 32, 32)
    other = copy.deepcopy(tower)
    with torch.no_grad():
        expected = tower(image)
        for parameter in tower.parameters():
            parameter.zero_()
        torch.testing.assert_close(other(image), expected)


def test_an_unknown_family_is_a_single_block_without_tokens() -> None:
    tower, image = TimmEncoder("regnetx_002", None).eval(), torch.randn(1, 3, 32, 32)
    assert tower.blocks == [tower.network]
    assert tower(image).shape == (1, tower.num_features)
    with pytest.raises(ConfigError, match="single block"):
        tower.tokens(image)


def test_a_network_that_computes_otherwise_is_a_single_block() -> None:
    tower = TimmEncoder("deit_tiny_distilled_patch16_224", None, image_size=32)  # its head averages two tokens
    assert tower.blocks == [tower.network]
