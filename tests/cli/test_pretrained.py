"""`imtext bundle`, and what follows from it."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from imtext.search import load_bundle
from imtext.search.pretrained import RECOMMENDED
from tests.cli.conftest import imtext
from tests.exported import Exported


def test_list() -> None:
    listed = imtext("bundle", "--list").stdout
    assert all(short in listed and model.repository in listed for short, model in RECOMMENDED.items())


def test_from_a_folder_to_a_search(immich: Exported, index: Path, tmp_path: Path) -> None:
    data = {"XDG_DATA_HOME": str(tmp_path)}
    made = imtext("bundle", immich.folder, **data)
    folder = tmp_path / "imtext" / "bundles" / immich.folder.name
    assert (made.returncode, made.stdout) == (0, f"Bundle: {folder}\n")
    assert "layout of immich-app, fp32; 24 dimensions, 32 pixels, 16 tokens" in made.stderr
    assert imtext("bundle", immich.folder, **data).stdout == made.stdout, "again"
    assert "12 added" in imtext("index", index.parent / "*.png", "--bundle", folder, **data).stdout
    found = imtext("search", "red", **data)
    assert len(found.stdout.splitlines()) == 10
    assert found.stderr.count("gives scores, but no per cents") == 1
    assert imtext("search", "red", "--json", **data).stderr == ""
    assert "relevance    none: results have scores only" in imtext("info", **data).stdout


def test_short_texts(immich: Exported, tmp_path: Path) -> None:
    refused = imtext("bundle", immich.folder, "-o", tmp_path / "made", "--max-text-length", "8")
    assert refused.returncode == 2
    assert "takes 16 tokens, not 8" in refused.stderr


def test_weights_of_torch_are_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "clip").mkdir()
    for name in ("config.json", "model.safetensors"):
        (tmp_path / "clip" / name).touch()
    fake = ModuleType("imtext.export")
    monkeypatch.setitem(sys.modules, "imtext.export", fake)
    asked = []

    class Made:
        path = "made"

    def export_pretrained(name: str, output: Path) -> type[Made]:
        asked.append((name, output))
        return Made

    fake.export_pretrained = export_pretrained  # type: ignore[attr-defined]
    assert imtext("bundle", tmp_path / "clip", "-o", tmp_path / "out").stdout == "Bundle: made\n"
    assert asked == [(str(tmp_path / "clip"), tmp_path / "out")]


def test_a_bundle_made_before(immich: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a model on the hub: nothing is asked of the hub again."""
    made = tmp_path / "made"
    imtext("bundle", immich.folder, "-o", made)
    monkeypatch.setattr("imtext.search.pretrained.make.repository_of", lambda name: str(immich.folder))
    done = imtext("bundle", "owner/model", "-o", made)
    assert done.stdout == f"Bundle: {load_bundle(made).path} (made before)\n"
