"""Checkpoints are complete files, and the best one is found after a move."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from lightning.fabric.plugins import TorchCheckpointIO

from imtext.training.callbacks import LastCheckpoint, RunCheckpoint
from imtext.training.callbacks.checkpoints import WholeFileIO
from tests.training.callbacks.stubs import fit


class Broken(TorchCheckpointIO):
    """Fails in the middle of a file."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        Path(path).write_bytes(b"half a file")
        raise OSError("disk full")


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    WholeFileIO(TorchCheckpointIO()).save_checkpoint({"epoch": 1}, path)
    with pytest.raises(OSError, match="disk full"):
        WholeFileIO(Broken()).save_checkpoint({"epoch": 2}, path)
    assert WholeFileIO(TorchCheckpointIO()).load_checkpoint(path)["epoch"] == 1


def test_every_checkpoint_of_a_run_is_written_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    save = TorchCheckpointIO.save_checkpoint

    def record(io: TorchCheckpointIO, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        written.append(Path(path).name)
        save(io, checkpoint, path, storage_options)

    monkeypatch.setattr(TorchCheckpointIO, "save_checkpoint", record)
    best = RunCheckpoint(
        str(tmp_path), "best", monitor="train/loss", save_on_train_epoch_end=True, enable_version_counter=False
    )
    fit(tmp_path, 2, best, LastCheckpoint(str(tmp_path)))
    assert written == ["last.ckpt.part", *["best.ckpt.part", "last.ckpt.part"] * 2]
    assert sorted(path.name for path in tmp_path.glob("*.ckpt*")) == ["best.ckpt", "last.ckpt"]
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["epoch"] == 1


def test_a_run_resumed_from_its_last_checkpoint_does_not_write_it_first(tmp_path: Path) -> None:
    fit(tmp_path, 1, LastCheckpoint(str(tmp_path)))
    last = LastCheckpoint(str(tmp_path))
    saved: list[Path] = []
    trainer = cast(Any, SimpleNamespace(ckpt_path=str(tmp_path / "last.ckpt"), fast_dev_run=0,
                                        save_checkpoint=saved.append))  # fmt: skip
    last.on_train_start(trainer, cast(Any, None))
    assert saved == []
    trainer.ckpt_path = None
    last.on_train_start(trainer, cast(Any, None))
    assert saved == [tmp_path / "last.ckpt"]


def state_of(best: Path) -> dict[str, Any]:
    return {
        "monitor": "val/rsum", "best_model_score": 2.0, "best_model_path": str(best), "current_score": 2.0,
        "dirpath": str(best.parent), "best_k_models": {str(best): 2.0}, "kth_best_model_path": str(best),
        "kth_value": 2.0, "last_model_path": "",
    }  # fmt: skip


@pytest.mark.parametrize("there", ["here", "old", "nowhere"])
def test_the_best_checkpoint_is_found_or_brought_or_forgotten(tmp_path: Path, there: str) -> None:
    old, here = tmp_path / "old" / "best.ckpt", tmp_path / "here" / "best.ckpt"
    if there != "nowhere":
        path = tmp_path / there / "best.ckpt"
        path.parent.mkdir()
        path.write_bytes(b"weights")
    callback = RunCheckpoint(str(here.parent), "best", monitor="val/rsum", mode="max")
    callback.load_state_dict(state_of(old))
    if there == "nowhere":
        assert callback.best_model_path == ""
    else:
        assert callback.best_model_path == str(here)
        assert callback.best_model_score == 2.0
        assert [path.name for path in here.parent.iterdir()] == ["best.ckpt"]
        assert here.read_bytes() == b"weights"
