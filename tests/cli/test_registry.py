"""`imtext register`, and registered models where bundles are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from imtext.search import Bundle
from tests.cli.conftest import imtext


def test_register_and_use(bundle: Bundle, database: str, tmp_path: Path, gallery: Path) -> None:
    root = {"IMTEXT_ROOT": str(tmp_path)}
    done = imtext("register", bundle.path, "--name", "photos", **root)
    assert done.stdout == "models:/photos/1 (1_val/t2i_r10 0.5000)\n", done.stderr
    done = imtext("promote", "1", "--name", "photos", **root)
    assert done.stdout == "models:/photos@champion is version 1\n", done.stderr
    done = imtext("index", gallery, "--index", tmp_path / "index", "--bundle", "models:/photos@champion", **root)
    assert "12 added" in done.stdout, done.stderr
    assert imtext("rank", "a star", gallery / "01.png", "--bundle", "models:/photos/1", **root).returncode == 0


@pytest.mark.parametrize("command", [("promote", "3"), ("index", ".", "--bundle", "models:/photos@champion")])
def test_mistakes_are_one_line(database: str, tmp_path: Path, command: tuple[str, ...]) -> None:
    done = imtext(*command, IMTEXT_ROOT=str(tmp_path), IMTEXT_INDEX=str(tmp_path / "index"))
    assert done.returncode == 2
    assert done.stderr.startswith("error: MLflow's registry in sqlite")
    assert len(done.stderr.splitlines()) == 1
