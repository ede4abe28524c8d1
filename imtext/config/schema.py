"""The schema of settings: one model for each program, and for each `_target_` the model of its constructor."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NoReturn

from omegaconf import DictConfig, OmegaConf
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from imtext.config.instantiate import locate, target_nodes
from imtext.config.signatures import Settings, names_of, settings_of
from imtext.config.validation import problems, value_at
from imtext.errors import ConfigError


def _refuse(value: Any) -> NoReturn:
    raise PydanticCustomError("no_target", "has no _target_")


# Nodes with a `_target_` are checked separately, so a value of this type has no `_target_`.
Node = Annotated[Any, AfterValidator(_refuse)]
Nodes = dict[str, Node | None] | None
Name = str | int | float | None  # an unquoted 2024 is a number in YAML


class PathSettings(Settings):
    """Folders."""

    root: str
    """Folder that contains `runs/`; absolute, so that every run finds the same MLflow database."""
    runs_dir: str
    """Folder of all runs and of the MLflow database."""
    cache_dir: str
    """Folder of decoded pictures and cached features; shared by all runs."""
    output_dir: str
    """Folder of this run."""


class SweepSettings(Settings):
    """A comparison of trials, for `python -m imtext.sweep`."""

    base: list[str]
    """Overrides of all trials, before those of the command line."""
    seeds: list[Annotated[int, Field(ge=0, lt=2**32)]]
    """Every trial is trained with each seed."""
    trials: list[str]
    """Overrides of each trial, separated by blanks; the first is what the others are compared with."""
    resume: Name = None
    """Folder of a stopped sweep: its finished trials are taken over."""


class TrainSettings(Settings):
    """Top level of `conf/train.yaml`."""

    data: Node
    """Data set."""
    model: Node
    """Dual encoder."""
    loss: Node
    """Loss."""
    optim: Node
    """Optimizer and learning rates."""
    trainer: Node
    """Lightning's Trainer: device, precision, length of the run."""
    paths: PathSettings
    """Folders."""
    rerank: Node | None = None
    """How the re-ranker is trained, if `model/reranker` names one."""
    stages: Nodes = None
    """Stages: which blocks are frozen and cached in which epochs."""
    callbacks: Nodes = None
    """Checkpoints, early stopping, progress, example pictures."""
    logger: Nodes = None
    """Where metrics are logged."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42
    """Seed of weights, data order, augmentation and dropout."""
    grad_cache: Annotated[int, Field(ge=1)] | None = None
    """Pictures (with their captions) per forward pass: the gradients of the whole batch, the memory of a small one."""
    compile: bool | str = False
    """Compile both towers with torch: true, or the name of a compiler of torch."""
    ckpt_path: Name = None
    """Checkpoint to resume: `last`, `best` or a path; the settings of its run are restored."""
    experiment_name: str = "imtext"
    """Name of the MLflow experiment."""
    run_name: Name = None
    """Name of the MLflow run; null: model and data, or in a sweep the settings of the trial."""
    tags: dict[str, Any] | None = None
    """Tags of the MLflow run."""
    baseline: bool = True
    """Measure the untrained model first."""
    bundle: bool = True
    """Export the best model for search, and verify the export."""
    registered_model: Name = None
    """Name of a model in MLflow's registry that gets the bundle as its newest version."""
    optimized_metric: str | None = None
    """Metric that a sweep reports for each trial."""
    sweep: SweepSettings | None = None
    """Trials to compare."""


class EvaluateSettings(Settings):
    """Top level of `conf/evaluate.yaml`."""

    ckpt_path: Name = None
    """Checkpoint: `last`, `best`, a file or the folder of a run."""
    split: Literal["train", "val", "test"] = "test"
    """Split to measure."""
    rerank_top_k: Annotated[int, Field(ge=0)] | None = None
    """Pictures of each caption that the re-ranker scores again; null: 50 if the checkpoint has one; 0: none."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42
    """Seed for data settings that refer to it; the evaluation itself is not random."""
    data: dict[str, Any] | None = None
    """Changes to the data settings of the run, or another data set."""
    model: Node | None = None
    """A pretrained dual encoder to measure as it is, instead of a checkpoint."""
    trainer: Node | None = None
    """Device."""
    paths: PathSettings | None = None
    """Folders."""


class EmbedSettings(Settings):
    """Top level of `conf/embed.yaml`."""

    ckpt_path: Name | list[Name] = None
    """Checkpoint of the teacher: `last`, `best`, a file or the folder of a run. Several make an ensemble."""
    output: str
    """File to write."""
    splits: Annotated[list[Literal["train", "val", "test"]], Field(min_length=1)]
    """Splits to embed; training with the file needs train and val."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42
    """Seed for data settings that refer to it; nothing is random."""
    data: dict[str, Any] | None = None
    """Changes to the data settings of the run, or another data set."""
    model: Node | None = None
    """A pretrained dual encoder as the teacher, instead of a checkpoint."""
    trainer: Node | None = None
    """Device."""
    paths: PathSettings | None = None
    """Folders."""


class InterpolateSettings(Settings):
    """Top level of `conf/interpolate.yaml`."""

    ckpt_path: Name = None
    """Checkpoint of a fine-tuned model: `last`, `best`, a file or the folder of a run."""
    alphas: list[float]
    """Shares of the fine-tuned weights, from 0 (the pretrained model) to 1."""
    split: Literal["train", "val", "test"] = "val"
    """Split to measure; the best share is chosen by it."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42
    """Seed for data settings that refer to it; nothing is random."""
    data: dict[str, Any] | None = None
    """Changes to the data settings of the run, or another data set."""
    trainer: Node | None = None
    """Device."""
    paths: PathSettings | None = None
    """Folders."""


class RerankerSettings(Settings):
    """The re-ranker among the models."""

    reranker: Node
    """Re-ranker."""


class RerankSettings(Settings):
    """Top level of `conf/rerank.yaml`."""

    ckpt_path: Name = None
    """Checkpoint of the dual encoder: `last`, `best`, a file or the folder of a run."""
    resume: Name = None
    """Run of a re-ranker to go on with: `last`, or its folder; its settings are restored."""
    model: RerankerSettings
    """The re-ranker."""
    rerank: Node
    """How the re-ranker is trained."""
    trainer: Node
    """Lightning's Trainer: device and precision."""
    paths: PathSettings
    """Folders."""
    data: dict[str, Any] | None = None
    """Changes to the data settings of the run, or another data set."""
    logger: Nodes = None
    """Where metrics are logged."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42
    """Seed of weights, order, negatives and dropout."""
    experiment_name: str = "imtext"
    """Name of the MLflow experiment."""
    run_name: Name = None
    """Name of the MLflow run."""
    tags: dict[str, Any] | None = None
    """Tags of the MLflow run."""
    bundle: bool = True
    """Export both models for search, and verify the export."""
    progress: bool = True
    """Show a progress bar."""


PROGRAMS: dict[str, type[Settings]] = {
    "train": TrainSettings,
    "evaluate": EvaluateSettings,
    "interpolate": InterpolateSettings,
    "rerank": RerankSettings,
    "embed": EmbedSettings,
    "sweep": TrainSettings,
}


def check_config(config: DictConfig, program: str = "train") -> None:
    """Refuse unknown settings and values of the wrong type, without building anything.

    Args:
        config: composed, not yet resolved; interpolations are not checked.
        program: the program that reads it, a key of `PROGRAMS`.

    Raises:
        ConfigError: a setting is wrong; the message names it, and the setting that was probably meant.
    """
    raw: dict[str, Any] = OmegaConf.to_container(config, resolve=False)  # type: ignore[assignment]
    for key, value in raw.items():
        if value == "???":
            raise ConfigError(f"{key} is needed: give {key}=…")
    for problem in problems(PROGRAMS[program], raw, "", raw):
        raise ConfigError(problem)
    if program in ("evaluate", "embed") and "ckpt_path" in raw:
        _check_one_model(raw["ckpt_path"], raw.get("model"))
    for path, node in target_nodes(raw):
        model = settings_of(locate(str(node["_target_"]), f"{path}._target_"))
        for problem in problems(model, node, path, raw):
            raise ConfigError(problem)


def _check_one_model(ckpt_path: Any, model: Any) -> None:
    """A checkpoint or a pretrained model: one of them."""
    if ckpt_path in (None, []) and model is None:
        raise ConfigError(
            "ckpt_path is needed: give ckpt_path=…, or a pretrained model: model=clip model.name=<folder> data=…"
        )
    if ckpt_path is not None and model is not None:
        raise ConfigError(
            f"ckpt_path={ckpt_path} and model exclude each other: a checkpoint holds its model, and model takes a "
            "pretrained one as it is"
        )


def can_be_added(raw: dict[Any, Any], key: str) -> bool:
    """Whether `+key=…` would work: its parent is empty or takes an argument of that name."""
    *parents, last = key.split(".")
    node = value_at(raw, parents)
    if not isinstance(node, dict) or not parents:
        return False
    return node == {} or ("_target_" in node and last in names_of(settings_of(locate(node["_target_"]))))
