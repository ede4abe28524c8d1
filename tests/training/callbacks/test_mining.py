"""When neighbours are mined, and with what they go on."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from imtext.config.compose import compose_config
from imtext.data.order import Neighbours
from imtext.train import train
from imtext.training.callbacks import MineNeighbours
from imtext.training.callbacks import mining as callback_module
from imtext.training.checkpoints import read_checkpoint
from tests.conftest import THREADS, Compose
from tests.runs import INTERRUPT, QUICK, interrupt_at, same, weights, without_time
from tests.training.callbacks.stubs import module

MINED = np.array([[1], [2], [0]])
RUN = (
    *QUICK, "trainer.max_epochs=4", "optim.lr=1e-2", "data/order=neighbours", "data.order.num_neighbours=4",
    "data.order.after_epochs=0", "data.order.every_n_epochs=2", "data.captions_per_image=2",
    "stages=gradual", "stages.heads.after_epochs=0", "stages.top.after_epochs=1", "stages.whole.after_epochs=2",
    "stages.heads.views=2", "stages.top.views=2", "model.mirror=true",
    "+callbacks.average._target_=imtext.training.callbacks.AverageWeights", "+callbacks.average.decay=0.9",
)  # fmt: skip


class Recorded(Callback):
    """Records the pictures of every batch, and the neighbours in use."""

    epochs: list[list[list[int]]]

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.epochs.append([])

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self.epochs[-1].append(batch["image_id"].tolist())


def stub(epoch: int = 0, first_epoch: int = 0, pictures: int = 3, smoke_test: bool = False) -> Any:
    data = SimpleNamespace(first_epoch=first_epoch, rows={"train": list(range(pictures))})
    strategy = SimpleNamespace(broadcast=lambda found: found)
    return SimpleNamespace(datamodule=data, current_epoch=epoch, fast_dev_run=smoke_test, strategy=strategy)


@pytest.fixture
def mined(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The epochs for which pictures are mined."""
    epochs: list[int] = []

    def mine(trainer: Any, module: Any, data: Any, order: Any, epoch: int) -> Any:
        epochs.append(epoch)
        return MINED

    monkeypatch.setattr(callback_module, "mine", mine)
    return epochs


def test_mined_before_the_epochs_that_are_due_and_never_twice(mined: list[int]) -> None:
    callback = MineNeighbours(Neighbours(after_epochs=0, every_n_epochs=2))
    callback.on_fit_start(stub(), module())
    for epoch in range(5):
        callback.on_train_epoch_start(stub(epoch), module())
    assert mined == [0, 2, 4]


def test_a_resumed_run_goes_on_with_the_saved_neighbours(mined: list[int]) -> None:
    callback = MineNeighbours(order := Neighbours(after_epochs=0, every_n_epochs=3))
    assert callback.state_dict() == {"neighbours": None, "mined_for": None}
    callback.on_fit_start(stub(), module())
    state = callback.state_dict()
    assert torch.is_tensor(state["neighbours"])
    resumed = MineNeighbours(Neighbours(after_epochs=0, every_n_epochs=3))
    resumed.load_state_dict(state)
    resumed.on_fit_start(stub(first_epoch=2), module())
    assert mined == [0]
    assert order.neighbours is not None
    np.testing.assert_array_equal(resumed.order.neighbours, order.neighbours)
    resumed.on_fit_start(stub(first_epoch=2, pictures=4), module())
    assert mined == [0, 2]  # other data


def test_saved_before_anything_was_mined(mined: list[int]) -> None:
    callback = MineNeighbours(Neighbours(after_epochs=2))
    callback.load_state_dict(callback.state_dict())
    callback.on_fit_start(stub(first_epoch=1), module())
    assert mined == []


def test_a_smoke_test_mines_nothing(mined: list[int]) -> None:
    MineNeighbours(Neighbours(after_epochs=0)).on_fit_start(stub(smoke_test=True), module())
    assert mined == []


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    """The folder and the metrics of an uninterrupted run."""
    root = tmp_path_factory.mktemp("straight")
    torch.set_num_threads(THREADS)  # as in every test: another number of threads rounds differently
    paths = [f"paths.root={root}", f"paths.cache_dir={root / 'cache'}", f"paths.output_dir={root / 'run'}"]
    return root / "run", train(compose_config("train", [*RUN, *paths]))[0]


@pytest.mark.slow
class TestRuns:
    @pytest.fixture
    def recorded(self, monkeypatch: pytest.MonkeyPatch) -> list[list[list[int]]]:
        """The pictures of each batch of each epoch."""
        epochs: list[list[list[int]]] = []
        monkeypatch.setattr(Recorded, "epochs", epochs, raising=False)
        monkeypatch.setenv("IMTEXT_TRUSTED_MODULES", "tests")
        return epochs

    def test_neighbours_are_in_the_batches_of_the_epoch_they_were_mined_for(
        self, compose: Compose, recorded: list[list[list[int]]], caplog: pytest.LogCaptureFixture
    ) -> None:
        record = "+callbacks.record._target_=tests.training.callbacks.test_mining.Recorded"
        with caplog.at_level(logging.INFO):
            _, objects = train(compose(*RUN, "data.num_workers=2", record))
        assert [line[:22] for line in caplog.messages if line.startswith("Neighbours for")] == [
            "Neighbours for epoch 1", "Neighbours for epoch 3",
        ]  # fmt: skip
        data = objects["datamodule"]
        assert data.order.mined_for == 2
        for epoch in (2, 3):  # mined before epoch 2, and used in 3, too
            order = data.order.arrange(len(data.rows["train"]), 8, epoch, np.random.default_rng([data.seed, epoch]))
            expected = [data.rows["train"][position] for position in order]
            assert [row for batch in recorded[epoch] for row in batch] == expected[: 8 * len(recorded[epoch])]

    @pytest.mark.parametrize(("epoch", "workers"), [(0, 2), (2, 0), (3, 2)])
    def test_resumed_equals_straight(
        self,
        compose: Compose,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        straight: tuple[Path, dict[str, float]],
        epoch: int,
        workers: int,
    ) -> None:
        run = (*RUN, f"data.num_workers={workers}")
        interrupt_at(monkeypatch, epoch, batch=1)
        with pytest.raises(RuntimeError, match="interrupted"):
            train(compose(*run, INTERRUPT, output="resumed"))
        resumed, _ = train(compose(*run, "ckpt_path=last", output="resumed"))
        folders = [straight[0], tmp_path / "runs" / "resumed"]
        assert without_time(resumed) == without_time(straight[1])
        assert same(weights(folders[0]), weights(folders[1]))
        first, second = (
            read_checkpoint(folder / "checkpoints/last.ckpt")["callbacks"]["MineNeighbours"] for folder in folders
        )
        assert first["neighbours"].equal(second["neighbours"])
        assert first["mined_for"] == second["mined_for"] == 2
