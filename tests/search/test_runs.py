"""The newest bundle belongs to a run and is not a copy."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from imtext.errors import BundleError
from imtext.search import Bundle, Index, newest_bundle, runs_dir


def test_runs_dir(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("IMTEXT_ROOT", str(tmp_path))
    assert runs_dir() == tmp_path / "runs"
    monkeypatch.delenv("IMTEXT_ROOT")
    assert runs_dir() == Path("runs")


def test_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"--bundle laion-b32 .* train first.*--bundle"):
        newest_bundle(tmp_path / "nothing")


def test_newest(bundle: Bundle, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        shutil.copytree(bundle.path, tmp_path / f"train/{number}/bundle")
        os.utime(tmp_path / f"train/{number}/bundle/manifest.json", (number % 3, number % 3))
    assert newest_bundle(tmp_path) == tmp_path / "train/2/bundle"


@pytest.mark.parametrize("name", ["mlflow-artifacts/0123/artifacts/bundle", "train/3/.bundle.unfinished.77"])
def test_copies_and_unfinished_bundles_do_not_count(bundle: Bundle, tmp_path: Path, name: str) -> None:
    shutil.copytree(bundle.path, tmp_path / "train/2/bundle")
    (shutil.copytree(bundle.path, tmp_path / name) / "manifest.json").touch()  # written last
    assert newest_bundle(tmp_path) == tmp_path / "train/2/bundle"


def test_the_copy_of_an_index_does_not_count(bundle: Bundle, tmp_path: Path) -> None:
    shutil.copytree(bundle.path, tmp_path / "train/2/bundle")
    index = Index.create(tmp_path / "demo/index", bundle)
    (index.bundle.path / "manifest.json").touch()
    assert newest_bundle(tmp_path) == tmp_path / "train/2/bundle"
