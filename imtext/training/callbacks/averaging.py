"""A running average of the weights."""

from __future__ import annotations

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import EMAWeightAveraging

from imtext.errors import ConfigError


class AverageWeights(EMAWeightAveraging):
    """Validates and saves a running average of the weights, which generalises better than the weights of one step.

    The average is exponential, over about ``1 / (1 - decay)`` steps (Polyak & Juditsky, 1992). `last.ckpt` contains the
    trained weights and the average, so that a resumed run equals an uninterrupted one.

    Args:
        decay: weight of the old average at each step.

    Raises:
        ConfigError: `decay` is not between 0 and 1.
    """

    def __init__(self, decay: float = 0.99) -> None:
        if not 0 < decay < 1:
            raise ConfigError(f"callbacks.average.decay must be between 0 and 1, not {decay}")
        super().__init__(decay=decay)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Create the average on the device of the run; the model is moved there later."""
        # Lightning has no public setting for "the device of the run". A test fails when this one is no longer used,
        # and pyproject.toml bounds its version.
        self._device = trainer.strategy.root_device
        super().setup(trainer, pl_module, stage)

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """During training, validate the average; after training, measure the loaded weights."""
        if trainer.state.fn == "fit":
            super().on_validation_epoch_start(trainer, pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Return to the trained weights."""
        if trainer.state.fn == "fit":
            super().on_validation_epoch_end(trainer, pl_module)
