"""The two towers of a pretrained dual encoder: pooling, masks, projections."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from imtext.models.clip.towers import LayeredImageEncoder, LayeredTextEncoder, Pool, Words, matrix
from imtext.models.tower import check_tower
from imtext.preprocess import Preprocess


class Mean(nn.Module):
    """Every token becomes the mean of the tokens that it may look at."""

    def forward(self, hidden: Tensor, visible: Tensor | None) -> Tensor:
        if visible is None:
            return hidden.mean(dim=1, keepdim=True).expand_as(hidden)
        weights = visible.float() / visible.sum(dim=1, keepdim=True)
        return weights @ hidden


def tower(pool: Pool, causal: bool) -> LayeredTextEncoder:
    torch.manual_seed(0)
    words = Words(nn.Embedding(10, 4), nn.Embedding(6, 4))
    return LayeredTextEncoder(words, [Mean()], nn.LayerNorm(4), 4, causal, pool)


IDS = torch.tensor([[3, 1, 4, 0], [2, 7, 1, 8]])
MASK = torch.tensor([[True, True, True, False], [True] * 4])


def test_padding_is_not_seen_by_a_causal_tower() -> None:
    built = tower("last_token", causal=True)
    torch.testing.assert_close(built(IDS, MASK)[:1], built(IDS[:1, :3], MASK[:1, :3]))
    other = IDS.clone()
    other[0, 3] = 9
    assert built(other, MASK).equal(built(IDS, MASK))


def test_a_tower_without_mask_reads_padding() -> None:
    built = tower("last_position", causal=False)
    other = IDS.clone()
    other[0, 3] = 9
    assert not torch.allclose(built(other, MASK)[0], built(IDS, MASK)[0])


def test_the_first_token_sees_itself_only() -> None:
    built = tower("first", causal=True)
    assert built(IDS, MASK).equal(built(IDS[:, :1], MASK[:, :1]))


def test_every_parameter_is_in_a_block() -> None:
    check_tower(tower("first", causal=True))
    image = LayeredImageEncoder([nn.Conv2d(3, 4, 8, 8), nn.Flatten()], 64, Preprocess(image_size=32))
    check_tower(image)
    assert image(torch.zeros(2, 3, 32, 32)).shape == (2, 64)


def test_a_matrix_becomes_a_linear_layer() -> None:
    weight, inputs = torch.randn(5, 3), torch.randn(2, 5)
    torch.testing.assert_close(matrix(weight)(inputs), inputs @ weight)


@pytest.mark.parametrize("causal", [True, False])
def test_blocks_count_from_the_words(causal: bool) -> None:
    built = tower("first", causal)
    assert [type(block) for block in built.blocks] == [Words, Mean, nn.LayerNorm]
