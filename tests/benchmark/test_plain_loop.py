"""The plain loop trains, and uses each caption of a picture in turn."""

from __future__ import annotations

from imtext.benchmark.plain_loop import PlainLoop
from imtext.benchmark.recipe import build_recipe
from imtext.training.devices import settle_device
from tests.conftest import TINY_SHAPES, Compose


def test_a_step_changes_the_model(compose: Compose) -> None:
    config = compose(*TINY_SHAPES, "logger=none")
    settle_device(config.trainer)
    data, _ = build_recipe(config)
    loop = PlainLoop(config, data)
    assert list(loop.batches(0)) == []  # fewer pictures than a batch
    rows = data.rows["train"][:4]
    before = loop.model.logit_scale.item()
    images = loop.images(rows)
    assert images.shape == (4, 3, 32, 32)
    for epoch in range(2):
        loop.step(rows, images, epoch)
    assert loop.model.logit_scale.item() != before
    assert 0 <= loop.recall() <= 1
