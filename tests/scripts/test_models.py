"""The page that compares models is written from MLflow and from measured speeds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from mlflow import MlflowClient

from tests.scripts.test_results import add_run

PROJECT = Path(__file__).parents[2]
SPEED = {"images_per_second": 300.4, "query_ms": 1.26, "query_p99_ms": 2.0}


def write(database: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = ["scripts.models", str(folder / "speeds.json"), "--tracking-uri", database]
    return subprocess.run(
        [sys.executable, "-m", *command, "--output", str(folder / "models.md")],
        cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_quality_and_speed_of_a_model_stand_in_one_row(database: str, tmp_path: Path) -> None:
    client = MlflowClient(database)
    for seed, recall in ((1, 0.50), (2, 0.52)):
        add_run(client, "flickr8k_towers", recall, seed, row="small, words", output_dir=f"{tmp_path}/run{seed}")
    add_run(client, "flickr8k_towers", 0.4, 1, row="unmeasured", output_dir=f"{tmp_path}/other")
    ours = {"name": "a", "path": f"{tmp_path}/run2/bundle", "bytes": 12_000_000, **SPEED}
    ours["parameters"] = {"image": 930_000, "text": 4_000_000}
    models = [ours, {"name": "open_clip vit", **SPEED, "images_per_second": 9.96}]
    (tmp_path / "speeds.json").write_text(json.dumps({"pictures": 200, "models": models}))
    done = write(database, tmp_path)
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "models.md").read_text().splitlines()
    (row,) = (line for line in lines if line.startswith("| small, words"))
    assert row.startswith("| small, words | 0.9 + 4.0 | 12 | 300 | 1.3 | 51.0 ± 1.4 / 51.0 ± 1.4 / 51.0 ± 1.4 |")
    (unmeasured,) = (line for line in lines if line.startswith("| unmeasured"))
    assert unmeasured.startswith("| unmeasured | – | – | – | – | 40.0 / 40.0 / 40.0 |")
    assert "| open_clip vit | – | 10.0 | 1.3 |" in lines
    assert sum("CLIP ViT-B/32, OpenAI" in line for line in lines) == 1


def test_without_runs(database: str, tmp_path: Path) -> None:
    (tmp_path / "speeds.json").write_text("{}")
    assert "no finished run of flickr8k_towers" in write(database, tmp_path).stderr
