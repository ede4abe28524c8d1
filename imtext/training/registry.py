"""MLflow's registry of models: versions of a bundle, and names for those in use: ``models:/imtext@champion``."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imtext
from imtext.errors import BundleError, ConfigError
from imtext.search.bundle import Bundle, load_bundle
from imtext.search.runs import runs_dir
from imtext.training.checkpoints import read_checkpoint
from imtext.training.mlflow_store import artifact_store, prepare_store, quiet_mlflow, run_exists
from imtext.training.tracking import metric_name

SCHEME = "models:/"
MODEL_CODE = Path(imtext.__file__).with_name("mlflow_model.py")
ARTIFACT = "artifacts/bundle"
TOLD = ("val/t2i_r@1", "val/t2i_r@10", "val/i2t_r@1", "val/i2t_r@10")  # metrics that are tags of a version


@dataclass(frozen=True)
class Version:
    """A version of a registered model.

    Attributes:
        name: name of the model.
        number: of the version.
        run_id: the run that it comes from.
        tags: of the version.
    """

    name: str
    number: str
    run_id: str
    tags: dict[str, str]

    @property
    def uri(self) -> str:
        """Its address."""
        return f"{SCHEME}{self.name}/{self.number}"


def tracking_uri() -> str:
    """The MLflow store of trainings: `MLFLOW_TRACKING_URI`, or the database in `runs/`."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{runs_dir().absolute()}/mlflow.db"


def bundle_run(bundle: Bundle) -> str | None:
    """The MLflow run that a bundle was exported from; None if its checkpoint is gone or the run was not tracked."""
    path = Path(bundle.manifest.get("tags", {}).get("checkpoint", ""))
    return read_checkpoint(path)["imtext"]["run_ids"].get("mlflow") if path.is_file() else None


def register(bundle: Bundle, name: str, run_id: str | None, store: str | None = None) -> Version:
    """Make a bundle the newest version of a registered model, which `mlflow models serve` can serve.

    Args:
        bundle: the bundle.
        name: name of the model; created if needed.
        run_id: the run that the bundle comes from; None, or one that the store does not have, starts a run for it.
        store: MLflow's store; None: `tracking_uri`.

    Raises:
        ConfigError: MLflow refuses the name, or cannot use the store.
    """
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ColSpec, ParamSchema, ParamSpec, Schema

    columns = [ColSpec("string", each) for each in ("query", "path", "id")]
    numbers = [ColSpec("double", "score"), ColSpec("double", "relevance", required=False)]
    signature = ModelSignature(
        Schema([ColSpec("string", "query")]), Schema(columns + numbers), ParamSchema([ParamSpec("top_k", "long", 10)])
    )
    store = store or tracking_uri()
    with _using(store), _run(store, run_id, name) as run:
        logged = mlflow.pyfunc.log_model(
            name=name,
            python_model=str(MODEL_CODE),
            artifacts={"bundle": str(bundle.path)},
            signature=signature,
            pip_requirements=[f"imtext=={imtext.__version__}", f"mlflow=={mlflow.__version__}"],
            registered_model_name=name,
        )
        version = Version(name, str(logged.registered_model_version), run.info.run_id, _tags(bundle))
        client = mlflow.MlflowClient()
        for key, value in version.tags.items():
            client.set_model_version_tag(name, version.number, key, value)
    return version


def _run(store: str, run_id: str | None, name: str) -> Any:
    """The run of a bundle, or a new one in an experiment of the model's name."""
    import mlflow

    if run_id and run_exists(store, run_id):
        return mlflow.start_run(run_id)
    prepare_store(store, name, artifact_store(store, str(runs_dir() / "mlflow-artifacts")))
    return mlflow.start_run(experiment_id=mlflow.MlflowClient().get_experiment_by_name(name).experiment_id)


def _tags(bundle: Bundle) -> dict[str, str]:
    metrics, tags = bundle.manifest.get("metrics", {}), bundle.manifest.get("tags", {})
    told = {metric_name(key): f"{metrics[key]:.4f}" for key in TOLD if key in metrics}
    known = {key: str(tags[key]) for key in ("checkpoint", "data_fingerprint") if key in tags}
    return {**told, **known, "fingerprint": bundle.fingerprint}


def find_version(name: str, wanted: str, store: str | None = None) -> Version:
    """A version by its number or its alias; `latest` is the newest.

    Raises:
        ConfigError: there is none.
    """
    import mlflow

    with _using(store or tracking_uri()):
        client = mlflow.MlflowClient()
        find = client.get_model_version if wanted.isdigit() else client.get_model_version_by_alias
        found = find(name, wanted)
        return Version(name, str(found.version), found.run_id or "", dict(found.tags))


def set_alias(version: Version, alias: str, store: str | None = None) -> None:
    """Let an alias mean this version from now on."""
    import mlflow

    with _using(store or tracking_uri()):
        mlflow.MlflowClient().set_registered_model_alias(version.name, alias, version.number)


def registered_bundle(uri: str, store: str | None = None) -> Bundle:
    """The bundle of ``models:/name@alias`` or ``models:/name/version``, downloaded if the store is not on this machine.

    Raises:
        ConfigError: there is no such version.
        BundleError: what is registered there is no bundle.
    """
    import mlflow

    name, _, wanted = uri.removeprefix(SCHEME).replace("@", "/").partition("/")
    if not name or not wanted:
        raise ConfigError(f"{uri} names no version: models:/imtext@champion, or models:/imtext/3")
    version = find_version(name, wanted, store)
    with _using(store or tracking_uri()):
        folder = Path(mlflow.artifacts.download_artifacts(f"{version.uri}/{ARTIFACT}"))
    try:
        return load_bundle(folder)
    except BundleError as error:
        raise BundleError(f"{uri} is not a model that `imtext register` has registered: {error}") from error


@contextmanager
def _using(store: str) -> Iterator[None]:
    """Address a store by MLflow's functions; what MLflow refuses becomes one message."""
    import mlflow
    from mlflow.exceptions import MlflowException

    quiet_mlflow()
    # Otherwise a model takes along the uv.lock and pyproject.toml of the folder in which it is registered.
    os.environ.setdefault("MLFLOW_UV_AUTO_DETECT", "false")
    before = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
    try:
        mlflow.set_tracking_uri(store)
        with warnings.catch_warnings():  # an input example would need an index to be answered
            warnings.filterwarnings("ignore", message="(?s).*input example")
            yield
    except MlflowException as error:
        raise ConfigError(f"MLflow's registry in {store}: {str(error).splitlines()[0]}") from error
    finally:
        mlflow.set_tracking_uri(before)  # also in the environment, where MLflow keeps it for child processes
