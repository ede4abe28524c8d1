"""The base class of image towers: a sequence of blocks, and batch statistics."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from imtext.errors import ConfigError
from imtext.models import ImageEncoder, MobileNetV3Small
from tests.models.towers import PatchEncoder


@pytest.mark.parametrize("blocks", [0, 1, 2])
def test_the_lower_blocks_and_the_rest_are_the_whole(blocks: int) -> None:
    encoder, image = PatchEncoder().eval(), torch.randn(2, 3, 48, 48)
    torch.testing.assert_close(encoder(encoder.lower(image, blocks), first_block=blocks), encoder(image))


def test_tokens_are_the_places_that_the_last_block_pools() -> None:
    encoder, image = PatchEncoder(dropout=0).eval(), torch.randn(2, 3, 48, 48)
    maps = encoder.patches(image)
    tokens = encoder.tokens(image)
    assert tokens.shape == (2, 36, encoder.num_token_features)
    torch.testing.assert_close(tokens[:, 7], maps[:, :, 1, 1])  # row by row, six to a row
    torch.testing.assert_close(encoder.tokens(encoder.lower(image, 1), first_block=1), tokens)
    with pytest.raises(ValueError, match="at most 1 blocks"):
        encoder.tokens(encoder(image), first_block=2)


def test_a_single_block_has_no_tokens() -> None:
    class Whole(PatchEncoder):
        @property
        def blocks(self) -> list[nn.Module]:
            return [nn.Sequential(self.patches, self.head)]

    with pytest.raises(ConfigError, match="Whole is a single block"):
        Whole().tokens(torch.randn(2, 3, 48, 48))


def test_a_fixed_size_is_checked_where_pictures_come_in() -> None:
    encoder = PatchEncoder().eval()
    encoder.fixed_image_size = 48
    lower = encoder.lower(torch.randn(2, 3, 48, 48), 1)
    encoder(lower, first_block=1)
    for compute in (encoder, lambda image: encoder.lower(image, 1), encoder.tokens):
        with pytest.raises(ConfigError, match="takes pictures of 48 pixels, not 64"):
            compute(torch.randn(2, 3, 64, 64))


def test_frozen_blocks_do_not_change() -> None:
    encoder = MobileNetV3Small(weights=None)
    encoder.freeze(9)
    encoder.train()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    optimizer = torch.optim.SGD(encoder.parameters(), lr=0.1)
    encoder(torch.randn(4, 3, 32, 32)).sum().backward()
    optimizer.step()
    changed = {name.split(".")[1] for name, value in encoder.state_dict().items() if not value.equal(before[name])}
    assert changed == {"9", "10", "11", "12"}
    encoder.freeze(0)
    encoder.train()
    assert all(parameter.requires_grad for parameter in encoder.parameters())
    assert all(module.training for module in encoder.modules())


@pytest.mark.parametrize("encoder", [MobileNetV3Small(None, train_batch_norm=False),
                                     PatchEncoder(train_batch_norm=False)])  # fmt: skip
def test_batch_statistics_can_be_kept(encoder: ImageEncoder) -> None:
    encoder.train()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    encoder(torch.randn(4, 3, 32, 32))
    assert all(value.equal(before[name]) for name, value in encoder.state_dict().items())
    assert all(m.training for m in encoder.modules() if isinstance(m, nn.Dropout))
