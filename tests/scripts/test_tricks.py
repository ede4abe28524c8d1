"""The page of losses and tricks is written from MLflow, with differences paired by seed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from mlflow import MlflowClient

from tests.scripts.test_results import add_run

PROJECT = Path(__file__).parents[2]


def write(database: str, output: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "scripts.tricks", "--tracking-uri", database, "--output", str(output)]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)


def test_differences_are_paired_by_seed(database: str, tmp_path: Path) -> None:
    client = MlflowClient(database)
    for row, recalls in (("base", {1: 0.5, 2: 0.6}), ("better", {2: 0.62, 3: 0.9})):
        for seed, recall in recalls.items():
            add_run(client, "flickr8k_tricks", recall, seed, row=row)
    done = write(database, tmp_path / "tricks.md")
    assert done.returncode == 0, done.stderr
    base, better = (
        line for line in (tmp_path / "tricks.md").read_text().splitlines() if line.startswith(("| base", "| better"))
    )
    assert base.split(" | ")[4] == "–"
    assert better.split(" | ")[1] == "2, 3"
    assert better.split(" | ")[4] == "+12.0"  # six recalls, two points each, of the only common seed


def test_without_a_base(database: str, tmp_path: Path) -> None:
    add_run(MlflowClient(database), "flickr8k_tricks", 0.5, 1, row="better")
    assert "row=base" in write(database, tmp_path / "tricks.md").stderr
