"""Building the objects of a run: their order and their random numbers."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import seed_everything
from omegaconf import DictConfig

from imtext.data.order import Neighbours
from imtext.errors import ConfigError
from imtext.losses import InfoNCE
from imtext.models import LSTMEncoder, MobileNetV3Small
from imtext.preprocess.tokenizer import Vocabulary
from imtext.training.callbacks import MineNeighbours
from imtext.training.optim import AdamW
from imtext.training.run import Run, build_run, check_stream, warn_about_rates
from imtext.training.stages import Plan, Stage
from tests.conftest import Compose
from tests.runs import QUICK


def built(config: DictConfig) -> Run:
    config.trainer.precision = "32-true"
    seed_everything(7, verbose=False)
    return build_run(config)


def test_towers_draw_their_random_numbers_in_order(compose: Compose) -> None:
    """First the image tower, then the text tower: what the data does in between must not change their weights."""
    run = built(compose(*QUICK))
    torch.manual_seed(7)
    image_encoder = MobileNetV3Small(weights=None)
    text_encoder = LSTMEncoder(word_dim=16, hidden_dim=24, vocabulary=run.data.tokenizer.vocabulary)
    for expected, tower in (
        (image_encoder, run.module.model.image_encoder),
        (text_encoder, run.module.model.text_encoder),
    ):
        found = tower.state_dict()
        assert all(value.equal(found[name]) for name, value in expected.state_dict().items())


def test_everything_is_built_from_the_configuration(compose: Compose, tmp_path: Path) -> None:
    config = compose(*QUICK, "stages=frozen", "model.text_encoder.word_init=lsa", "loss.text_weight=0.3")
    run = built(config)
    assert run.output_dir == tmp_path / "runs" / "run"
    assert run.resumed is None
    assert not run.is_smoke_test
    assert run.config["model"]["embed_dim"] == run.module.model.embed_dim == 32
    assert run.config["loss"]["text_weight"] == 0.3
    assert isinstance(run.module.loss, InfoNCE)
    assert run.module.plan.frozen_blocks(0) == len(run.module.model.image_encoder.blocks)
    assert run.module.preprocess == run.data.preprocess
    assert run.module.preprocess.image_size == 32  # a data setting overrides the image tower's
    assert run.tags["checkpoint"] == str(tmp_path / "runs" / "run" / "checkpoints" / "last.ckpt")
    text_encoder = run.module.model.text_encoder
    assert isinstance(text_encoder, LSTMEncoder)
    vectors = run.data.word_vectors(16) * text_encoder.word_scale
    torch.testing.assert_close(text_encoder.word_embedding.weight.data, vectors)


def test_settings_are_checked_before_the_data_is_read(compose: Compose) -> None:
    config = compose(*QUICK, "optim.lr=-1", "data.cache_dir=/dev/null/none")  # the data would fail
    with pytest.raises(ConfigError, match=r"optim\.lr"):
        built(config)


def test_a_loss_with_a_teacher_asks_for_it_before_the_data_is_read(compose: Compose) -> None:
    config = compose(*QUICK, "loss=distillation", "data.cache_dir=/dev/null/none")  # the data would fail
    with pytest.raises(ConfigError, match=r"imtext\.embed.*data\.teacher="):
        built(config)


@pytest.mark.parametrize(
    ("pretrained", "frozen", "lr", "warned"),
    [(True, 0, 1e-4, True), (True, 0, 1e-6, False), (True, 1, 1e-4, False), (False, 0, 1e-4, False)],
)
def test_a_rate_that_destroys_pretrained_words_is_a_warning(
    pretrained: bool, frozen: int, lr: float, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    tower = LSTMEncoder(4, 4, vocabulary=Vocabulary("words", 9, pad_id=0, unk_id=1, max_length=8))
    tower.num_pretrained = len(tower.blocks) if pretrained else 0
    plan = Plan({"only": Stage(frozen_text_blocks="all" if frozen else 0)}, 3, len(tower.blocks))
    warn_about_rates(tower, AdamW(lr=lr), plan)
    assert ("optim.text_encoder_lr_scale=1" in caplog.text) == warned


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["data/order=neighbours", "trainer.max_epochs=1"], r"data\.order\.after_epochs=1.*max_epochs=1"),
        (["data/order=neighbours", "data.order.group_size=9"], r"group_size=9 is above data\.batch_size=8"),
        (["data/order=curriculum", "data.order.epochs=10"], r"data\.order\.epochs=10"),
        (["data/order=curriculum", "data.shuffle=false"], r"data\.shuffle=false.*data\.order"),
    ],
)
def test_an_order_that_does_not_fit_the_run(compose: Compose, settings: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        built(compose(*QUICK, *settings))


def test_an_order_of_neighbours_mines(compose: Compose) -> None:
    def miners(*settings: str) -> list[object]:
        run = built(compose(*QUICK, *settings))
        return [each.order for each in run.trainer.callbacks if isinstance(each, MineNeighbours)]  # type: ignore[attr-defined]

    (order,) = miners("data/order=neighbours", "data.order.num_neighbours=7")
    assert isinstance(order, Neighbours)
    assert order.num_neighbours == 7
    assert miners() == miners("data/order=curriculum") == []
    assert len(miners("data/order=neighbours", "debug=fdr", "trainer.max_epochs=1")) == 1  # one step of everything


def test_a_re_ranker_needs_finite_data() -> None:
    stream = SimpleNamespace(streams=True)
    check_stream(stream, None)  # type: ignore[arg-type]
    check_stream(SimpleNamespace(streams=False), {"dim": 8})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"re-ranker cannot be trained on a stream.*imtext\.rerank"):
        check_stream(stream, {"dim": 8})  # type: ignore[arg-type]
