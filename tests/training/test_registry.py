"""Bundles as versions of a registered model."""

from __future__ import annotations

import json
from pathlib import Path

import mlflow
import pytest

from imtext.errors import BundleError, ConfigError
from imtext.search import Bundle, load_bundle
from imtext.train import train
from imtext.training.registry import bundle_run, find_version, register, registered_bundle, set_alias, tracking_uri
from tests.conftest import TINY_SHAPES, Compose


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMTEXT_ROOT", str(tmp_path))


def test_versions_and_aliases(bundle: Bundle, database: str, tmp_path: Path) -> None:
    before = mlflow.get_tracking_uri()
    first, second = (register(bundle, "photos", "a run of another store", database) for _ in range(2))
    assert (first.number, second.uri) == ("1", "models:/photos/2")
    assert first.tags["1_val/t2i_r10"] == "0.5000"
    assert find_version("photos", "2", database).tags == second.tags
    set_alias(first, "champion", database)
    assert find_version("photos", "champion", database) == first
    for uri in ("models:/photos@champion", "models:/photos/2", "models:/photos/champion", "models:/photos/latest"):
        assert registered_bundle(uri, database).manifest == bundle.manifest
    assert find_version("photos", "latest", database).number == "2"
    assert mlflow.get_tracking_uri() == before
    for foreign in ("uv.lock", "pyproject.toml"):  # of the project in whose folder this runs
        assert not list(tmp_path.rglob(foreign))


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("models:/photos", "names no version"),
        ("models:/photos/7", "registry in sqlite"),
        ("models:/photos@champion", "registry in sqlite"),
        ("models:/nothing/1", "registry in sqlite"),
    ],
)
def test_what_is_not_there(bundle: Bundle, database: str, uri: str, message: str) -> None:
    register(bundle, "photos", None, database)
    with pytest.raises(ConfigError, match=message):
        registered_bundle(uri, database)


def test_another_model_is_no_bundle(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where MLflow writes by default
    code = tmp_path / "other.py"
    code.write_text("import mlflow\nmlflow.models.set_model(mlflow.pyfunc.PythonModel())\n")
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "file").touch()
    mlflow.set_tracking_uri(database)
    with mlflow.start_run():
        mlflow.pyfunc.log_model(
            name="other", python_model=str(code), artifacts={"bundle": str(tmp_path / "bundle")},
            pip_requirements=[], registered_model_name="other",
        )  # fmt: skip
    with pytest.raises(BundleError, match="imtext register"):
        registered_bundle("models:/other/1", database)


def test_a_training_registers_its_bundle(compose: Compose, database: str, tmp_path: Path) -> None:
    assert tracking_uri() == database
    options = [option for option in TINY_SHAPES if option != "bundle=false"]
    train(compose(*options, "trainer.max_epochs=1", "baseline=false", "registered_model=shapes"))
    trained = load_bundle(tmp_path / "runs" / "run")
    version = find_version("shapes", "1")
    assert version.run_id == bundle_run(trained) is not None
    assert registered_bundle(version.uri).fingerprint == trained.fingerprint
    metrics = json.loads((tmp_path / "runs" / "run" / "metrics.json").read_text())
    assert float(version.tags["1_val/t2i_r10"]) == pytest.approx(metrics["val/t2i_r@10"], abs=1e-4)
    assert mlflow.MlflowClient(database).get_run(version.run_id).info.status == "FINISHED"
