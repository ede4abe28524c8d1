"""The training recipe of a configuration, built without callbacks and logger."""

from __future__ import annotations

import time

import torch
from omegaconf import DictConfig, OmegaConf

from imtext.data import RetrievalDataModule
from imtext.training.devices import resolve_accelerator
from imtext.training.features import cache_features
from imtext.training.module import RetrievalModule
from imtext.training.run import build_run
from imtext.training.stages import Plan
from imtext.training.text_features import cache_text_features


def build_recipe(config: DictConfig) -> tuple[RetrievalDataModule, RetrievalModule]:
    """Read the data and build the module of a run that records nothing."""
    run = build_run(OmegaConf.merge(config, {"callbacks": None, "logger": None}))  # type: ignore[arg-type]
    return run.data, run.module


def cache_all_features(config: DictConfig, data: RetrievalDataModule, module: RetrievalModule, plan: Plan,
                       epochs: range) -> None:  # fmt: skip
    """Compute and cache the features that the stages of these epochs read."""
    device, model = device_of(config), module.model
    data.features = cache_features(model.image_encoder, plan, data, device, epochs)
    data.text_features = cache_text_features(model.text_encoder, plan, data, device, epochs)


def device_of(config: DictConfig) -> torch.device:
    """The device that a configuration trains on."""
    return torch.device(resolve_accelerator(str(config.trainer.accelerator)))


def now() -> float:
    """Seconds on a clock, after the accelerator has finished all its work."""
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()
    return time.monotonic()
