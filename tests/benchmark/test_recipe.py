"""A recipe without callbacks and logger, and its caches."""

from __future__ import annotations

import torch

from imtext.benchmark.recipe import build_recipe, cache_all_features, device_of, now
from imtext.training.devices import settle_device
from tests.conftest import TINY_SHAPES, Compose


def test_a_recipe_records_nothing_and_caches_features(compose: Compose) -> None:
    config = compose(*TINY_SHAPES, "stages=frozen", "stages.heads.views=1")
    settle_device(config.trainer)
    data, module = build_recipe(config)
    assert "callbacks" in config
    assert config.callbacks  # the configuration is not changed
    assert device_of(config) == torch.device("cpu")
    cache_all_features(config, data, module, module.plan, range(1))
    assert data.features is not None
    assert now() <= now()
