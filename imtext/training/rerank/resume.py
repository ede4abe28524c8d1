"""Going on with the training of a re-ranker: the checkpoint, and the settings that have to be those of its run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from imtext.errors import CheckpointError
from imtext.training.checkpoints import find_checkpoint, flat, read_checkpoint
from imtext.training.resume import epochs_done, quote

FIXED = ("model.", "rerank.")  # the order of the steps and the state of the optimizer depend on them
FREE = ("rerank.max_epochs", "rerank.validate_every", "rerank.rerank_top_k", "rerank.warmup")


def find_resume_point(config: DictConfig) -> Path | None:
    """Find and check the checkpoint named by `resume`.

    Args:
        config: composed from `conf/rerank.yaml`. Its logger gets the id of the run to go on with.

    Returns:
        None for a new run.

    Raises:
        CheckpointError: there is no such checkpoint, or the run cannot go on from it with these settings.
    """
    if config.resume is None:
        return None
    path = find_checkpoint(str(config.resume), Path(config.paths.runs_dir), "last")
    content = read_checkpoint(path)
    facts = content["imtext"]
    if "rerank" not in facts or "optimizer_states" not in content:
        raise CheckpointError(f"{path} is not the state of a re-ranker's training: take its `last.ckpt`")
    resolved: Any = OmegaConf.to_container(config, resolve=True)
    before, after = flat(facts["rerank"]), flat(resolved)
    for key in sorted(before.keys() | after.keys()):
        if key.startswith(FIXED) and not key.startswith(FREE) and before.get(key) != after.get(key):
            raise CheckpointError(
                f"{key}={after.get(key)}: the re-ranker was trained with {before.get(key)}. Leave the setting as it was"
            )
    if epochs_done(content) > config.trainer.max_epochs:
        raise CheckpointError(
            f"rerank.max_epochs={config.trainer.max_epochs}: the checkpoint has {epochs_done(content)} complete epochs"
        )
    if config.get("logger") and "run_id" in config.logger:
        config.logger.run_id = facts["run_ids"].get("mlflow")
    return path


def overrides_of(checkpoint: Path) -> list[str] | None:
    """The overrides of this command, to be repeated on resume; None without a command line.

    Args:
        checkpoint: of the dual encoder; it takes the place of `ckpt_path=best`, which soon means another one.
    """
    if not HydraConfig.initialized():
        return None
    own = ("ckpt_path=", "resume=")
    return [each for each in HydraConfig.get().overrides.task if not each.startswith(own)] + [
        f"ckpt_path={quote(checkpoint)}"
    ]
