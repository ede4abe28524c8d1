"""The transformer: padding, positions, freezing, export."""

from __future__ import annotations

import pytest
import torch

from imtext.errors import ConfigError
from imtext.models import TransformerEncoder
from imtext.models.pooling import Pooling
from tests.models.captions import VOCABULARY, captions, check_graph, check_learning, check_padding


def tower(pooling: Pooling = "mean") -> TransformerEncoder:
    torch.manual_seed(0)
    return TransformerEncoder(16, 2, 2, dropout=0.3, word_dropout=0.2, pooling=pooling, vocabulary=VOCABULARY)


@pytest.mark.parametrize("pooling", ["mean", "max", "first", "last"])
def test_padding(pooling: Pooling) -> None:
    check_padding(tower(pooling))


def test_gradients() -> None:
    check_learning(tower())


def test_word_order_counts_and_goes_up_to_the_longest_text() -> None:
    transformer = tower().eval()
    assert transformer.position_embedding.num_embeddings == VOCABULARY.max_length
    ids = torch.tensor([[5, 6, 7]])
    assert not torch.allclose(transformer(ids, ids > 0), transformer(ids.flip(1), ids > 0), atol=1e-4)


def test_blocks_freeze_from_the_words_up() -> None:
    transformer = tower().train()
    assert len(transformer.blocks) == 4
    transformer.freeze(2)
    learning = {
        name.split(".")[0] + name.split(".")[1] for name, p in transformer.named_parameters() if p.requires_grad
    }
    assert learning == {"layers1", "normweight", "normbias"}
    frozen = transformer.layers[0]
    states, mask = torch.randn(12, 12, 16), captions()[1]
    torch.testing.assert_close(frozen(states, mask), frozen(states, mask), rtol=0, atol=0)  # no dropout


@pytest.mark.parametrize("heads", [0, 3])
def test_heads_divide_the_size(heads: int) -> None:
    with pytest.raises(ConfigError, match=f"num_heads={heads} must divide word_dim=16"):
        TransformerEncoder(16, num_heads=heads, vocabulary=VOCABULARY)


def test_exported_like_trained() -> None:
    check_graph(tower("max"))
