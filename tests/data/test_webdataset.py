"""Shards as training data, from the settings to trained models."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from imtext.data import WebDataset
from imtext.data.scales import RandomScales
from imtext.errors import ConfigError, DataError
from imtext.train import train
from imtext.training.checkpoints import load_model, read_checkpoint
from imtext.training.resume import epochs_done
from imtext.training.trained_data import build_data
from tests.conftest import TINY, Compose
from tests.data.shared import SMALL
from tests.object_store import object_store
from tests.runs import INTERRUPT, interrupt_at, same, weights, without_time
from tests.shards import caption, http_server, write_scenes, write_shard, write_shards
from tests.test_processes import metrics_of, run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_shards(tmp_path / "shards", 5, 5, 4)


def web(folder: Path, **settings: Any) -> WebDataset:
    given = {
        "path": str(folder), "validation": f"{folder}/00002.tar", "cache_dir": str(folder.parent / "cache"),
        **SMALL, **settings,
    }  # fmt: skip
    return WebDataset(**given)


def ready(folder: Path, **settings: Any) -> WebDataset:
    data = web(folder, **settings)
    data.setup()
    return data


def test_the_head_is_the_training_split_and_shards_are_held_out(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        data = ready(folder, head=7)
    assert {split: len(rows) for split, rows in data.rows.items()} == {"train": 7, "val": 4, "test": 0}
    assert [path[-9:] for path in data.shards] == ["00000.tar", "00001.tar"]
    assert "7 train, 4 val, 0 test images" in caplog.text
    assert "the first of 2 shards" in caplog.text
    unknown = [number for number in range(14) if data.tokenizer.unknown_words(caption(number))]
    assert unknown == list(range(7, 14)), "words beyond the head"
    (images,) = [batch["image_id"] for batch in data.val_dataloader()]
    assert images.tolist() == [7, 8, 9, 10]


def test_an_epoch_has_all_samples_or_as_many_as_asked_for(folder: Path) -> None:
    assert ready(folder).images_per_epoch == 10
    assert len(ready(folder).train_dataloader()) == 2
    loader = ready(folder, samples_per_epoch=17, batch_size=2).train_dataloader()
    assert len(loader) == len(list(loader)) == 8


def test_batches_are_those_of_finite_data(folder: Path) -> None:
    data = ready(folder, batch_size=2, captions_per_image=1, scales=RandomScales([32]))
    batches = list(data.train_dataloader())
    finite = next(iter(data.val_dataloader()))
    assert batches[0].keys() == finite.keys()
    assert all(batches[0][name].dtype == finite[name].dtype for name in batches[0] if name != "first_block")  # type: ignore[literal-required]
    assert sorted(torch.cat([batch["image_id"] for batch in batches]).tolist()) == [
        *range(5), *range(2**32, 2**32 + 5)
    ]  # fmt: skip


def test_two_processes_train_on_different_samples(folder: Path) -> None:
    seen: list[set[int]] = []
    for rank in range(2):
        data = ready(folder, batch_size=2)
        device = SimpleNamespace(root_device=torch.device("cpu"))
        data.trainer = SimpleNamespace(global_rank=rank, world_size=2, strategy=device)  # type: ignore[assignment]
        loader = data.train_dataloader()
        assert len(loader) == 2
        seen.append({number for batch in loader for number in batch["image_id"].tolist()})
    assert len(seen[0]) == len(seen[1]) == 4
    assert not seen[0] & seen[1]


def test_without_shuffling_every_epoch_is_the_same(folder: Path) -> None:
    loader = ready(folder, shuffle=False).train_dataloader()
    epochs = []
    for epoch in range(2):
        loader.set_epoch(epoch)
        epochs.append([batch["image_id"].tolist() for batch in loader])
    assert epochs[0] == epochs[1] == [[0, 1, 2, 3], [4, 2**32, 2**32 + 1, 2**32 + 2]]


def test_few_shards_for_many_readers_are_a_warning(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = ready(folder, num_workers=3)
    with caplog.at_level(logging.WARNING):
        data.train_dataloader()
    assert "2 shards are fewer than the 3 readers" in caplog.text


def test_validation_by_a_table(folder: Path, pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.validation=.*do not exist below .*relative to its own folder"):
        ready(folder, validation=str(pictures / "captions.txt"))
    table = shutil.copytree(pictures / "Images", tmp_path / "table") / "captions.csv"
    table.write_bytes((pictures / "captions.txt").read_bytes())
    data = ready(folder, validation=str(table))
    assert len(data.rows["train"]) == 14, "no shard is held out"
    assert len(data.rows["val"]) == 12
    assert len(data.captions[data.rows["val"][0]]) == 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"path": None}, r"data\.validation=shards/00099\.tar"),
        ({"validation": None}, r"needs shards and held-out pictures"),
        ({"split": "ratios"}, r"data\.split=ratios.*data\.validation"),
        ({"teacher": "a.safetensors"}, r"data\.teacher needs all pictures"),
        ({"head": 1}, r"data\.head=1"),
        ({"samples_per_epoch": 0}, r"data\.samples_per_epoch=0"),
        ({"batch_size": 1}, r"data\.batch_size=1"),
    ],
)
def test_settings_that_do_not_fit(folder: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises((ConfigError, DataError), match=message):
        web(folder, **settings)


def test_shards_are_held_out_by_whatever_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    data = web(folder, path="shards/*.tar", validation=["shards/00000.tar", str(folder / "00002.tar")])
    assert data.shards == ["shards/00001.tar"]


def test_data_that_does_not_fit(folder: Path) -> None:
    with pytest.raises(DataError, match="all shards are held out"):
        web(folder, validation=str(folder)).setup()
    data = ready(folder)
    with pytest.raises(DataError, match="no test split"):
        data.require("test")
    write_shard(folder / "00000.tar", [{"jpg": b"no picture", "txt": b"a"}] * 3)
    write_shard(folder / "00001.tar", [{"jpg": b"no picture", "txt": b"a"}] * 3)
    data = ready(folder)
    with pytest.raises(DataError, match="0 train images"):
        data.require("train", "val")


def test_http(folder: Path) -> None:
    with http_server(folder) as address:
        data = web(folder, path=f"{address}/{{00000..00001}}.tar", samples_per_epoch=8, num_workers=2)
        data.setup()
        found = torch.cat([batch["image_id"] for batch in data.train_dataloader()])
    assert len(set(found.tolist())) == 8


@pytest.mark.slow
def test_s3(folder: Path) -> None:
    (folder / "00000_stats.json").write_text('{"successes": 5}')
    (folder / "00001_stats.json").write_text('{"successes": 5}')
    with object_store("shards", folder):
        data = web(folder, path="s3://shards/*.tar", validation="s3://shards/00002.tar", batch_size=2, num_workers=2)
        data.setup()
        assert data.images_per_epoch == 10
        found = torch.cat([batch["image_id"] for batch in data.train_dataloader()])
    assert len(set(found.tolist())) == 10


# ---- training

TRAINING = [
    "data=webdataset", "data.image_size=32", "data.batch_size=8", *TINY, "logger=none", "callbacks.examples=null",
    "baseline=false", "trainer.max_epochs=3",
]  # fmt: skip


def settings(folder: Path, *more: str) -> list[str]:
    shards = [f"data.path='{folder}/{{00000..00003}}.tar'", f"data.validation='{folder}/00004.tar'"]
    return [*TRAINING, *shards, *more]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_that_was_killed_in_an_epoch_ends_like_a_straight_one(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    given = settings(write_scenes(tmp_path / "scenes", 100, 20), f"data.num_workers={workers}")
    expected, _ = train(compose(*given, output="straight"))
    interrupt_at(monkeypatch, epoch=1, batch=4)
    with pytest.raises(RuntimeError, match="interrupted"):
        train(compose(*given, INTERRUPT, output="resumed"))
    resumed = tmp_path / "runs" / "resumed"
    assert epochs_done(read_checkpoint(resumed / "checkpoints/last.ckpt")) == 1
    metrics, objects = train(compose(*given, "ckpt_path=last", output="resumed"))
    assert without_time(metrics) == without_time(expected)
    assert same(weights(resumed), weights(tmp_path / "runs" / "straight"))
    assert objects["trainer"].global_step == 3 * 10


@pytest.mark.slow
def test_frozen_towers_are_not_cached(compose: Compose, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    given = settings(write_scenes(tmp_path / "scenes", 50, 10), "stages=gradual", "stages.top.after_epochs=1",
                     "stages.whole.after_epochs=2")  # fmt: skip
    with caplog.at_level(logging.INFO):
        _, objects = train(compose(*given))
    assert "are not cached, because training data is a stream" in caplog.text
    assert not list((tmp_path / "cache").glob("features-*"))
    assert all(source is None for source in objects["datamodule"].features.values())


def test_what_a_stream_cannot_do_is_refused_at_once(compose: Compose, folder: Path) -> None:
    shards = [f"data.path='{folder}'", f"data.validation='{folder}/00002.tar'"]
    for setting, message in (
        ("model/reranker=cross_attention", "re-ranker cannot be trained on a stream"),
        ("data/order=neighbours", r"data\.order needs all pictures"),
        ("data/order=curriculum", r"data\.order needs all pictures"),
        ("data.teacher=a.safetensors", r"data\.teacher needs all pictures"),
    ):
        with pytest.raises(ConfigError, match=message):
            train(compose(*TRAINING, *shards, setting))


@pytest.mark.slow
def test_learns_and_is_exported(compose: Compose, tmp_path: Path) -> None:
    """On drawn scenes: the shards lead where the same number of scenes in one table leads."""
    more = [
        "data.image_size=64", "data.batch_size=32", "data.augment=null", "bundle=true", "optim.lr=1e-3",
        "trainer.max_epochs=6", "callbacks.early_stopping=null",
    ]  # fmt: skip
    given = settings(write_scenes(tmp_path / "scenes", 1000, 200), *more)
    metrics, _ = train(compose(*given))
    assert metrics["val/num_images"] == 200
    assert metrics["val/t2i_r@10"] > 0.15, "three times chance"
    assert (tmp_path / "runs" / "run" / "bundle" / "manifest.json").is_file()
    again = build_data(OmegaConf.create({}), load_model(tmp_path / "runs" / "run" / "checkpoints" / "best.ckpt"))
    assert len(again.rows["val"]) == 200, "imtext.evaluate reads the same data"


@pytest.mark.slow
def test_two_processes_train_together(tmp_path: Path) -> None:
    """Three shards for two processes: one has twice as many, and both do as many steps."""
    folder = write_scenes(tmp_path / "scenes", 80, 20)
    given = settings(folder, "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.max_epochs=2")
    given[given.index("data.validation='" + str(folder) + "/00004.tar'")] = f"data.validation='{folder}/00003.tar'"
    given = [each for each in given if each != "trainer=cpu" and not each.startswith("data.path")]
    metrics = metrics_of(run(tmp_path, *given, f"data.path={folder}"))
    assert metrics["epochs"] == 2
    assert metrics["val/num_images"] == 20
