"""Evaluation repeats the metrics of training, and measures on other data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imtext.errors import ConfigError
from imtext.evaluate import evaluate
from imtext.train import train
from tests.conftest import Compose
from tests.models.clip.folders import write_clip
from tests.runs import QUICK


@pytest.fixture
def run(compose: Compose, tmp_path: Path) -> Path:
    train(compose(*QUICK, "trainer.max_epochs=2", "optim.lr=1e-3"))
    return tmp_path / "runs" / "run"


@pytest.mark.slow
def test_evaluate_agrees_with_training(run: Path, compose: Compose) -> None:
    trained = json.loads((run / "metrics.json").read_text())
    for split in ("val", "test"):
        config = compose(f"ckpt_path={run}", f"split={split}", "trainer=cpu", name="evaluate", output="evaluated")
        metrics, _ = evaluate(config)
        for name in ("t2i_r@10", "i2t_mrr", "rsum", "positive_similarity"):
            assert metrics[f"{split}/{name}"] == pytest.approx(trained[f"{split}/{name}"], abs=1e-5)
    folder = run.parent / "evaluated"
    assert json.loads((folder / "metrics.json").read_text()) == pytest.approx(metrics)
    lines = [json.loads(line) for line in (folder / "ranks.jsonl").read_text().splitlines()]
    ranks = [line["rank"] for line in lines if line["direction"] == "t2i"]
    assert len(ranks) == metrics["test/num_captions"]
    assert len(lines) - len(ranks) == metrics["test/num_images"]
    assert sum(rank <= 1 for rank in ranks) / len(ranks) == pytest.approx(metrics["test/t2i_r@1"])


@pytest.mark.slow
def test_evaluate_on_other_data(run: Path, compose: Compose, pictures: Path) -> None:
    config = compose(
        f"ckpt_path={run}", "trainer=cpu", "data=table", f"data.path={pictures / 'captions.txt'}",
        f"data.image_root={pictures / 'Images'}", "data.ratios=[0,0,1]", name="evaluate",
    )  # fmt: skip
    metrics, objects = evaluate(config)
    assert len(objects["datamodule"].rows["test"]) == 12
    assert objects["datamodule"].preprocess == objects["model"].preprocess  # the model's, not the default of the data
    assert 0 <= metrics["test/rsum"] <= 6


def test_a_pretrained_model_is_measured_without_a_checkpoint(compose: Compose, pictures: Path, tmp_path: Path) -> None:
    config = compose(
        "model=clip", f"model.name={write_clip(tmp_path / 'clip')}", "data=flickr8k", f"data.path={pictures}",
        "data.ratios=[0,1,0]", "data.split=ratios", "split=val", "trainer=cpu", name="evaluate",
    )  # fmt: skip
    metrics, objects = evaluate(config)
    assert metrics["val/num_images"] == 12
    assert objects["datamodule"].preprocess == objects["model"].preprocess
    assert objects["datamodule"].tokenizer.vocabulary.kind == "pretrained"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([], "ckpt_path is needed: give ckpt_path=…, or a pretrained model"),
        (["ckpt_path=best", "model=clip"], "ckpt_path=best and model exclude each other"),
        (["model=clip"], r"model\.name is needed"),
        (["model=mobilenet_lstm"], "two towers"),
    ],
)
def test_one_model_is_measured(compose: Compose, overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        evaluate(compose(*overrides, name="evaluate"))


def test_a_pretrained_model_needs_data(compose: Compose, tmp_path: Path) -> None:
    name = write_clip(tmp_path / "clip")
    with pytest.raises(ConfigError, match="no data of its own"):
        evaluate(compose("model=clip", f"model.name={name}", name="evaluate"))


def test_an_unknown_split_is_refused(compose: Compose) -> None:
    with pytest.raises(ConfigError, match="split=all: input should be 'train', 'val' or 'test'"):
        evaluate(compose("ckpt_path=best", "split=all", name="evaluate"))
