"""Learning rates by tower, depth and loss; weight decay; the schedule."""

from __future__ import annotations

import pytest
import torch

from imtext.errors import ConfigError
from imtext.losses import InfoNCE, SigLIP
from imtext.models import DualEncoder, LSTMEncoder, MobileNetV3Small
from imtext.preprocess.tokenizer import Vocabulary
from imtext.training.optim import AdamW


def tiny_model() -> DualEncoder:
    vocabulary = Vocabulary("words", size=20, pad_id=0, unk_id=1, max_length=8)
    text_encoder = LSTMEncoder(word_dim=8, hidden_dim=8, num_layers=2, vocabulary=vocabulary)
    return DualEncoder(MobileNetV3Small(None), text_encoder, embed_dim=8)


def test_each_tower_has_its_learning_rate() -> None:
    model = tiny_model()
    recipe = AdamW(lr=1e-3, image_encoder_lr_scale=0.1, text_encoder_lr_scale=2, projection_lr_scale=3, warmup=0)
    optimizer, _ = recipe.build(model, InfoNCE(), total_steps=10)
    rates = {group["name"].removesuffix("_no_decay"): group["lr"] for group in optimizer.param_groups}
    assert rates == pytest.approx({"image_encoder": 1e-4, "text_encoder": 2e-3, "projection": 3e-3})
    held = [id(parameter) for group in optimizer.param_groups for parameter in group["params"]]
    assert sorted(held) == sorted(id(parameter) for parameter in model.parameters())


def test_norms_biases_and_temperature_do_not_decay() -> None:
    model = tiny_model()
    optimizer, _ = AdamW(weight_decay=0.1).build(model, InfoNCE(), total_steps=10)
    decays = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert decays[id(model.logit_scale)] == 0
    assert all(decays[id(p)] == (0.1 if p.ndim > 1 else 0) for p in model.parameters())


@pytest.mark.parametrize(("schedule", "middle"), [("cosine", 0.5), ("linear", 0.5), ("constant", 1.0)])
def test_schedule(schedule: str, middle: float) -> None:
    recipe = AdamW(schedule=schedule, warmup=0.1)  # type: ignore[arg-type]
    factors = [recipe.factor(step, 100) for step in range(101)]
    assert 0 < factors[0] < factors[5] < factors[10] == 1
    assert factors[55] == pytest.approx(middle)
    assert factors[100] == pytest.approx(1 if schedule == "constant" else 0, abs=1e-9)


def test_lower_blocks_learn_more_slowly() -> None:
    model = tiny_model()
    optimizer, _ = AdamW(lr=1.0, image_encoder_lr_scale=0.5, image_encoder_layer_decay=0.5, warmup=0).build(
        model, InfoNCE(), 10
    )
    rates = {id(p): group["initial_lr"] for group in optimizer.param_groups for p in group["params"]}
    blocks = model.image_encoder.blocks[:-1]  # pooling has no parameters
    for below, block in enumerate(reversed(blocks)):
        assert {rates[id(p)] for p in block.parameters()} == {0.5 * 0.5**below}
    assert {rates[id(p)] for p in model.text_encoder.parameters()} == {10.0}
    assert len(rates) == len(list(model.parameters()))


def test_lower_layers_of_the_text_tower_learn_more_slowly() -> None:
    model = tiny_model()
    recipe = AdamW(lr=1.0, text_encoder_lr_scale=2, text_encoder_layer_decay=0.5, warmup=0)
    optimizer, _ = recipe.build(model, InfoNCE(), 10)
    rates = {id(p): group["initial_lr"] for group in optimizer.param_groups for p in group["params"]}
    for above, block in enumerate(reversed(model.text_encoder.blocks)):
        assert {rates[id(p)] for p in block.parameters()} == {2 * 0.5**above}
    assert {rates[id(p)] for p in model.image_encoder.parameters()} == {1.0}
    assert "text_encoder_2_below" in {group["name"] for group in optimizer.param_groups}


def test_names_and_order_of_the_groups() -> None:
    """Resuming finds the state of each group by its place."""
    optimizer, _ = AdamW().build(tiny_model(), InfoNCE(), 10)
    assert [group["name"] for group in optimizer.param_groups] == [
        "projection_no_decay", "image_encoder", "image_encoder_no_decay", "text_encoder", "text_encoder_no_decay",
        "projection",
    ]  # fmt: skip


def test_parameters_of_the_loss_are_the_last_group() -> None:
    loss = SigLIP(8)
    loss.mixing = torch.nn.Parameter(torch.eye(2))
    optimizer, _ = AdamW(lr=1e-3, projection_lr_scale=3, weight_decay=0.1, warmup=0).build(tiny_model(), loss, 10)
    bias, mixing = optimizer.param_groups[-2:]
    assert (bias["name"], bias["weight_decay"], bias["params"]) == ("loss_no_decay", 0, [loss.bias])
    assert (mixing["name"], mixing["weight_decay"], mixing["lr"]) == ("loss", 0.1, pytest.approx(3e-3))


def test_bad_values_say_what_is_allowed() -> None:
    with pytest.raises(ConfigError, match="above zero"):
        AdamW(lr=0)
    with pytest.raises(ConfigError, match="share of all steps"):
        AdamW(warmup=500)
    with pytest.raises(ConfigError, match=r"text_encoder_layer_decay must be above 0 and at most 1"):
        AdamW(text_encoder_layer_decay=2)
