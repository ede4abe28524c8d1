"""The base class of image towers: a sequence of blocks, and batch statistics."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from imtext.models import ImageEncoder, MobileNetV3Small
from tests.models.towers import PatchEncoder


@pytest.mark.parametrize("blocks", [0, 1, 2])
def test_the_lower_blocks_and_the_rest_are_the_whole(blocks: int) -> None:
    encoder, image = PatchEncoder().eval(), torch.randn(2, 3, 48, 48)
    torch.testing.assert_close(encoder(encoder.lower(image, blocks), first_block=blocks), encoder(image))


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
