"""The progress bar's text, and the hook of Lightning that it depends on."""

from __future__ import annotations

from pathlib import Path

import pytest
from lightning.pytorch.callbacks import RichProgressBar

from imtext.training.callbacks import ProgressBar
from imtext.training.callbacks.progress import epoch_label
from tests.training.callbacks.stubs import fit, trainer


def test_epochs_count_from_one_and_name_the_stage() -> None:
    assert epoch_label(trainer("whole", epoch=1)) == "epoch 2/4"
    assert epoch_label(trainer("heads", "top", epoch=1)) == "epoch 2/4 top"


def test_lightning_still_asks_for_the_description(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A private hook: if this fails after an update of Lightning, `ProgressBar` needs another way."""
    asked: list[int] = []

    def describe(bar: RichProgressBar, epoch: int) -> str:
        asked.append(epoch)
        return "described"

    monkeypatch.setattr(ProgressBar, "_get_train_description", describe)
    fit(tmp_path, 2, ProgressBar())
    assert set(asked) == {0, 1}
