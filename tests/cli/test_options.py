from __future__ import annotations

from pathlib import Path

import pytest

from imtext.cli.options import find_bundle, find_index, find_model
from imtext.errors import BundleError, SearchError
from imtext.search import Bundle
from tests.cli.conftest import imtext


def test_the_default_model_is_named(index: Path, bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "runs").symlink_to(bundle.path.parent)
    message = f"Model: {tmp_path / 'runs' / 'bundle'}\n"
    photo = index.parent / "00.png"
    made = tmp_path / "index"
    for args in (("index", photo, "--index", made), ("rank", "red", photo), ("demo", tmp_path / "demo")):
        assert message in imtext(*args, IMTEXT_ROOT=str(tmp_path)).stderr
    assert "Model" not in imtext("index", "--index", made, IMTEXT_ROOT=str(tmp_path)).stderr, "it has its own"
    assert "Model" not in imtext("rank", "red", photo, "--bundle", bundle.path, IMTEXT_ROOT=str(tmp_path)).stderr


def test_find_bundle(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("IMTEXT_ROOT", str(tmp_path))
    assert find_bundle(Path("named")) == Path("named")
    assert capsys.readouterr().err == ""
    assert find_bundle(None, fallback=bundle.path) == bundle.path
    assert capsys.readouterr().err == f"Model: {bundle.path}\n"
    with pytest.raises(BundleError, match=r"There is no bundle below .* Take a ready model: --bundle laion-b32"):
        find_bundle(None)


def test_a_short_name_is_downloaded_once(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imtext.search.pretrained.named_bundle", lambda name: bundle.path / name)
    assert find_bundle(Path("clip-b32")) == bundle.path / "clip-b32"


def test_find_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMTEXT_INDEX", str(tmp_path))
    assert find_index(None, None) == tmp_path
    assert find_index(Path("a"), None) == find_index(None, Path("a")) == Path("a")
    with pytest.raises(SearchError, match="Name one index: either a or --index b"):
        find_index(Path("a"), Path("b"))


def test_the_model_of_an_index(index: Path, bundle: Bundle, tmp_path: Path) -> None:
    assert find_model(bundle.path, None) == bundle.path
    assert find_model(None, index) == index / "bundle"
    with pytest.raises(SearchError, match="There is no index in"):
        find_model(None, tmp_path)
    photo = index.parent / "00.png"
    done = imtext("rank", "red", photo, "--index", index, IMTEXT_ROOT=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, ""), "a named model is not announced"
    assert imtext("tag", photo, "--labels", "red,blue", "-i", index, IMTEXT_ROOT=str(tmp_path)).returncode == 0
