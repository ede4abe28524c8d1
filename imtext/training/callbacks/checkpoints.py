"""Checkpoints of a run. They are written completely or not at all, and found again if the run's folder has moved."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from lightning.fabric.plugins import CheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from imtext.training.distributed import is_rank_zero


class WholeFileIO(CheckpointIO):
    """Writes a checkpoint under a temporary name and then renames it.

    A reader finds the old file or the new one, never a part of one, even after the process was killed.

    Args:
        inner: reads and writes the files.
    """

    def __init__(self, inner: CheckpointIO) -> None:
        self.inner = inner

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write to `<path>.part`, then rename; what cannot be finished is removed."""
        path = Path(path)
        part = path.with_name(f"{path.name}.part")
        try:
            self.inner.save_checkpoint(checkpoint, part, storage_options)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def load_checkpoint(self, path: str | Path, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Read a checkpoint."""
        return self.inner.load_checkpoint(path, *args, **kwargs)

    def remove_checkpoint(self, path: str | Path) -> None:
        """Delete a checkpoint."""
        self.inner.remove_checkpoint(path)

    def teardown(self) -> None:
        """Release what `inner` holds."""
        self.inner.teardown()


class RunCheckpoint(ModelCheckpoint):
    """A `ModelCheckpoint` that writes complete files and keeps its best checkpoint if the run resumes elsewhere.

    It takes the arguments of `ModelCheckpoint`; `dirpath` is required.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Make the trainer write complete files."""
        if not isinstance(trainer.strategy.checkpoint_io, WholeFileIO):
            trainer.strategy.checkpoint_io = WholeFileIO(trainer.strategy.checkpoint_io)
        super().setup(trainer, pl_module, stage)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state on resume.

        The best checkpoint so far is searched in this run's folder, which may have moved. If it is not there, it is
        copied from its earlier path. If it is in neither place, the state is dropped, and the next epoch becomes the
        best.
        """
        assert self.dirpath is not None
        best = Path(state_dict["best_model_path"])
        here = Path(self.dirpath) / best.name
        if not here.is_file():
            if self.monitor is None or not best.is_file():
                return
            if is_rank_zero():
                here.parent.mkdir(parents=True, exist_ok=True)
                part = here.with_name(f"{here.name}.part")
                shutil.copyfile(best, part)
                part.replace(here)
        scores = {str(here): score for path, score in state_dict["best_k_models"].items() if path == str(best)}
        paths = {"dirpath": str(self.dirpath), "best_model_path": str(here), "kth_best_model_path": str(here)}
        super().load_state_dict(state_dict | paths | {"best_k_models": scores, "last_model_path": ""})


class LastCheckpoint(RunCheckpoint):
    """Saves `last.ckpt` before the first epoch and after every epoch, so that a run can always be resumed.

    An interrupted epoch is repeated from its beginning. Every random choice depends only on the seed and the step, so
    the result equals that of an uninterrupted run.

    Args:
        dirpath: folder of the run's checkpoints.
    """

    def __init__(self, dirpath: str) -> None:
        super().__init__(
            dirpath, "last", save_top_k=1, every_n_epochs=1, save_on_train_epoch_end=True, enable_version_counter=False
        )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the initial state, unless the run resumes from this file."""
        super().on_train_start(trainer, pl_module)
        assert self.dirpath is not None
        path = Path(self.dirpath) / "last.ckpt"
        resumed_here = trainer.ckpt_path is not None and path.is_file() and path.samefile(trainer.ckpt_path)
        if not trainer.fast_dev_run and not resumed_here:  # type: ignore[attr-defined]
            trainer.save_checkpoint(path)
