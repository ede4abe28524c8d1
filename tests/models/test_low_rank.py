"""Low-rank adapters: nothing changes at first, only they learn, merged they compute the same."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from imtext.errors import ConfigError
from imtext.models import HuggingFaceEncoder
from imtext.models.low_rank import adapt, merge_into
from tests.models.captions import VOCABULARY, captions, check_learning
from tests.models.tiny_hf import SIZES


def tower(rank: int) -> HuggingFaceEncoder:
    torch.manual_seed(0)
    return HuggingFaceEncoder(architecture={"model_type": "bert", **SIZES}, lora_rank=rank, vocabulary=VOCABULARY)


def randomize(network: nn.Module) -> None:
    for name, value in network.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(value, std=0.1)


def features(encoder: HuggingFaceEncoder) -> Tensor:
    found: Tensor = encoder.eval()(*captions())
    return found


def test_only_the_adapters_learn() -> None:
    adapted = tower(2)
    torch.testing.assert_close(features(adapted), features(tower(0)))
    learning = {name for name, value in adapted.named_parameters() if value.requires_grad}
    assert len(learning) == 2 * 2 * 6  # two matrices for each of the six dense layers of both layers
    assert all("lora_" in name for name in learning)
    randomize(adapted)  # with zeros, one of the matrices has no gradient
    check_learning(adapted)
    adapted.freeze(2)
    assert all(".layer.1." in name for name, value in adapted.named_parameters() if value.requires_grad)


def test_merged_it_computes_the_same() -> None:
    adapted, plain = tower(2), tower(0)
    randomize(adapted)
    before = features(adapted)
    assert not torch.allclose(before, features(plain), atol=1e-3)
    adapted.merge_adapters()
    torch.testing.assert_close(features(adapted), before, atol=1e-5, rtol=1e-4)
    assert list(adapted.state_dict()) == list(plain.state_dict())
    adapted.merge_adapters()  # once is enough
    torch.testing.assert_close(features(adapted), before, atol=1e-5, rtol=1e-4)


def test_unknown_targets_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"lora_targets=\['nothing'\]"):
        adapt(plain := tower(0), plain.network, 2, 4, ["nothing"], "lora_targets")


def test_a_list_of_targets() -> None:
    adapted = tower(0)
    adapt(adapted, adapted.network, 2, 4, ["query", "value"], "lora_targets")
    assert sum("lora_A" in name for name, _ in adapted.named_parameters()) == 4
    merge_into(adapted)
    assert not any("lora_" in name for name, _ in adapted.named_parameters())
