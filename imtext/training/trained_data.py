"""The data for a checkpoint: the data of its run, with changes, or another data set."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig, OmegaConf

from imtext.config.instantiate import instantiate
from imtext.config.schema import check_config
from imtext.data import RetrievalDataModule
from imtext.errors import ConfigError
from imtext.training.checkpoints import TrainedModel


def build_data(settings: DictConfig, trained: TrainedModel) -> RetrievalDataModule:
    """Build and set up data for a trained model, with its tokenizer and preprocessing.

    Args:
        settings: another data set if there is a `_target_`; otherwise changes to the data settings of the run, where
            null changes nothing. The teacher of the run is left out.
        trained: the model.

    Raises:
        ImtextError: a setting or the data is wrong.
    """
    wanted = data_settings(settings, trained.config)
    check_config(OmegaConf.create({"data": wanted}), "evaluate")
    data: RetrievalDataModule = instantiate(wanted)
    data.use_model(trained.preprocess, trained.tokenizer, trained=True)
    data.setup()
    return data


def data_settings(settings: DictConfig, config: dict[str, Any]) -> DictConfig:
    """The data settings of a run's `config` with changes and without what only training uses, or another data set's.

    Raises:
        ConfigError: the model has no run, and so no data.
    """
    if "_target_" in settings:
        return settings
    if "data" not in config:
        raise ConfigError("A pretrained model has no data of its own: add data=flickr8k or data=table data.path=…")
    changes = {key: value for key, value in settings.items() if value is not None}
    # Only training uses these. The file of the teacher may be gone, the sizes may be those of another model.
    changes |= dict.fromkeys({"teacher", "scales", "order"} & config["data"].keys())
    return OmegaConf.merge(OmegaConf.create(config["data"]), changes)  # type: ignore[return-value]
