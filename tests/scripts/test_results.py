"""The page of results is written from MLflow."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

SCRIPT = Path(__file__).parents[2] / "scripts" / "results.py"


def add_run(
    client: MlflowClient,
    experiment: str,
    recall: float,
    seed: int,
    status: str = "FINISHED",
    settings: dict[str, Any] | None = None,
    section: str = "1_val",
    **tags: str,
) -> None:
    found = client.get_experiment_by_name(experiment)
    number = found.experiment_id if found else client.create_experiment(experiment)
    run = client.create_run(number, tags=tags)
    for direction in ("t2i", "i2t"):
        for k in (1, 5, 10):
            client.log_metric(run.info.run_id, f"{section}/{direction}_r{k}", recall)
        client.log_metric(run.info.run_id, f"{section}/{direction}_mrr", recall / 2)
        for k in (1, 5, 10):
            client.log_metric(run.info.run_id, f"{section}/{direction}_r{k}_low", recall - 0.02)
            client.log_metric(run.info.run_id, f"{section}/{direction}_r{k}_high", recall + 0.02)
    client.log_metric(run.info.run_id, f"{section}/num_images", 1000)
    for name, value in {"seed": seed, "data.split": "official", "optim.lr": 1, **(settings or {})}.items():
        client.log_param(run.info.run_id, name, value)
    client.set_terminated(run.info.run_id, status)


def write(database: str, output: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(sys, "argv", ["results.py", "--tracking-uri", database, "--output", str(output)])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    return output.read_text()


def test_seeds_are_averaged_without_unfinished_runs(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = MlflowClient(database)
    for seed, recall in ((1, 0.30), (1, 0.50), (2, 0.52)):  # the newest of a seed counts
        add_run(client, "flickr8k", recall, seed, section="val" if seed == 1 else "1_val")  # of both generations
    add_run(client, "flickr8k", 0.99, 3, status="KILLED")
    add_run(client, "flickr8k_tried", 0.4, 1, change="no mirror", kept="no")
    text = write(database, tmp_path / "results.md", monkeypatch)
    row = next(line for line in text.splitlines() if line.startswith("| `experiment=flickr8k`"))
    assert "| 1, 2 |" in row
    assert "51.0 ± 1.4 / 51.0 ± 1.4 / 51.0 ± 1.4" in row
    assert "0.255 / 0.255" in row
    assert "99.0" not in text
    assert "| val | 1 | 48.0–52.0 / 48.0–52.0 / 48.0–52.0 |" in text
    assert "| **`experiment=flickr8k`, MobileNetV3-Small + LSTM, val** | 51.0 ± 1.4 /" in text
    tried = next(line for line in text.splitlines() if line.startswith("| no mirror"))
    assert "| 40.0 / 40.0 / 40.0 |" in tried
    assert tried.endswith("| no |")


def test_a_re_ranker_is_measured_by_its_order(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = MlflowClient(database)
    add_run(client, "flickr8k_rerank", 0.3, 1, settings={"data.split": "None"}, data_split="official")
    (run,) = client.search_runs([client.get_experiment_by_name("flickr8k_rerank").experiment_id])
    for k, recall in ((1, 0.4), (5, 0.5), (10, 0.6)):
        client.log_metric(run.info.run_id, f"1_val/rerank_t2i_r{k}", recall)
    text = write(database, tmp_path / "results.md", monkeypatch)
    assert "| val, 1,000 images | 1 | 40.0 / 50.0 / 60.0 | 30.0 / 30.0 / 30.0 |" in text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"optim.lr": 2}),
        ({"data.split_seed": 42}, {"data.split_seed": 7}),
        ({"model.image_encoder.weights": "/a.pth"}, {"model.image_encoder.weights": None}),
    ],
)
def test_runs_with_other_settings_are_not_averaged(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one: dict[str, Any], other: dict[str, Any]
) -> None:
    client = MlflowClient(database)
    add_run(client, "flickr8k", 0.5, 1, settings=one)
    add_run(client, "flickr8k", 0.5, 2, settings=other)
    (key,) = other
    with pytest.raises(SystemExit, match=rf"differ in {key}"):
        write(database, tmp_path / "results.md", monkeypatch)


def test_resumed_runs_with_more_epochs_and_runs_on_other_data_are_not_averaged(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = MlflowClient(database)
    places = {"data.path": "/a", "paths.root": "/a", "callbacks.best.dirpath": "/a/b"}
    add_run(client, "flickr8k", 0.5, 1, settings=places)
    add_run(client, "flickr8k", 0.6, 2, settings=dict.fromkeys(places, "/c"))
    assert "55.0 ±" in write(database, tmp_path / "results.md", monkeypatch)
    add_run(client, "flickr8k", 0.5, 3, settings=places, **{"resumed/trainer.max_epochs": "40"})
    with pytest.raises(SystemExit, match=r"differ in trainer\.max_epochs"):
        write(database, tmp_path / "results.md", monkeypatch)
    add_run(client, "flickr8k", 0.5, 3, settings=places, data_fingerprint="other")
    with pytest.raises(SystemExit, match="differ in"):
        write(database, tmp_path / "results.md", monkeypatch)


def test_nothing_to_write(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="no finished run"):
        write(database, tmp_path / "results.md", monkeypatch)
