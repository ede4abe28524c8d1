"""The GRU tower."""

from __future__ import annotations

from torch import nn

from imtext.models import GRUEncoder
from tests.models.captions import VOCABULARY, check_graph


def test_the_layers_are_grus() -> None:
    tower = GRUEncoder(8, 6, bidirectional=True, vocabulary=VOCABULARY)
    assert isinstance(tower.forward_gru.layers[0], nn.GRU)
    kinds = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    layers = [f"{side}_gru.layers.0.{kind}" for side in ("forward", "backward") for kind in kinds]
    assert list(tower.state_dict()) == ["word_embedding.weight", *layers]


def test_exported_like_trained() -> None:
    check_graph(GRUEncoder(8, 6, 2, bidirectional=True, pooling="last", mean_of_words=True, vocabulary=VOCABULARY))
