"""Objects are built from trusted classes only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from imtext.config.instantiate import instantiate, locate, target_nodes
from imtext.errors import ConfigError


def canary(path: Path, target: str = "os.system") -> dict[str, Any]:
    """A configuration that creates a file if it is ever called."""
    return {"_target_": target, "_args_": [f"touch {path}"]}


# Ways around lists of forbidden names, as published for Hydra and for programs that use it.
@pytest.mark.parametrize(
    "target",
    [
        "os.system", "posix.system", "subprocess.Popen", "builtins.eval", "builtins.exec", "builtins.__import__",
        "__import__", "eval", " os.system", "os.system\n", ".os.system", "..os.system", "", "imtext", "imtext.",
        "imtext..os.system", "importlib.import_module", "pydoc.locate", "runpy.run_path", "timeit.timeit", "pdb.run",
        "code.interact", "operator.methodcaller", "functools.partial", "functools.reduce", "types.FunctionType",
        "pickle.loads", "yaml.unsafe_load", "numpy.load", "logging.config.dictConfig", "webbrowser.open",
        "hydra.utils.get_method", "hydra.utils.get_class", "hydra.utils.get_object", "hydra.utils.call",
        "hydra.utils.instantiate", "hydra._internal.utils._locate", "hydra._internal.hydra.Hydra.create_main_hydra2",
        "torch.load", "torch.hub.load", "torch.serialization.load", "torch.jit.load", "torch.ops.load_library",
        "torch.nn.modules.module.torch.load", "torch.nn.functional.torch", "torch.nn.Module.__subclasses__",
        "torch.nn.functional.warnings.sys", "torch.optim.optimizer.functools.partial", "torch.optim.optimizer.partial",
        "torch.nn.parallel.parallel_apply", "torch.nn.utils.clip_grad_norm_",
        # Functions of trusted packages that import and call what their arguments name.
        "lightning.pytorch.cli.instantiate_class", "lightning.pytorch.cli.LightningCLI",
        "lightning.pytorch.core.saving._load_from_checkpoint", "lightning.pytorch.core.saving.load_hparams_from_yaml",
        "lightning.pytorch.Trainer.__init__.__globals__", "lightning.pytorch.callbacks.lambda_function.Callable",
        "imtext.config.instantiate.instantiate", "imtext.config.instantiate.locate", "imtext.config.compose.os.system",
        "imtext.config.instantiate.import_module", "imtext.training.provenance.subprocess.run", "imtext.cli.main.main",
        "imtext.nothing.Here", "imtext.models.build_nothing",
    ],
)  # fmt: skip
def test_untrusted_targets_are_refused(target: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        instantiate(canary(tmp_path / "canary", target))
    assert not (tmp_path / "canary").exists()


def test_a_trusted_function_cannot_name_an_untrusted_one(tmp_path: Path) -> None:
    """`instantiate_class` imports what `class_path` names, which is no `_target_`."""
    payload = {"args": f"touch {tmp_path / 'canary'}", "init": {"class_path": "os.system"}}
    with pytest.raises(ConfigError, match="instantiate_class is not a class"):
        instantiate({"_target_": "lightning.pytorch.cli.instantiate_class", **payload})
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("as_config", [False, True])
@pytest.mark.parametrize(
    "hide",
    [
        lambda inner: {"_args_": [inner]},
        lambda inner: {"_args_": [[{"deep": {"er": inner}}]]},
        lambda inner: {"module": inner},
        lambda inner: {"module": {**inner, "_partial_": True}},
        lambda inner: {"module": inner, "_recursive_": False},
        lambda inner: {"module": inner, "_convert_": "object"},
        lambda inner: {"module": {**inner, "_target_": "${name}"}, "name": "os.system"},
        lambda inner: {"module": "${oc.create:${text}}", "text": str(inner)},
        lambda inner: {"module": "${oc.create:'" + str(inner).replace("'", '"') + "'}"},
        lambda inner: {"module": "${oc.decode:'" + str(inner).replace("'", '"') + "'}"},
        lambda inner: {"module": {"_target_": "functools.partial", "_args_": [inner]}},
    ],
)  # fmt: skip
def test_untrusted_targets_are_found_wherever_they_hide(hide: Any, as_config: bool, tmp_path: Path) -> None:
    config = {"_target_": "torch.nn.Sequential", **hide(canary(tmp_path / "canary"))}
    with pytest.raises(ConfigError):
        instantiate(OmegaConf.create(config) if as_config else config)
    assert not (tmp_path / "canary").exists()


def test_a_package_can_be_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="IMTEXT_TRUSTED_MODULES=fractions"):
        locate("fractions.Fraction")
    monkeypatch.setenv("IMTEXT_TRUSTED_MODULES", "fractions")
    assert instantiate({"_target_": "fractions.Fraction", "numerator": 1, "denominator": 2}) == 0.5


def test_the_error_of_a_constructor_is_passed_on() -> None:
    with pytest.raises(ConfigError, match=r"^optim\.lr must be above zero, not -1"):
        instantiate({"_target_": "imtext.training.optim.AdamW", "lr": -1})


def test_the_error_of_a_nested_constructor_is_passed_on() -> None:
    nested = {"_target_": "imtext.training.optim.AdamW", "lr": -1}
    with pytest.raises(ConfigError, match=r"^optim\.lr must be above zero"):
        instantiate({"_target_": "torch.nn.Sequential", "_args_": [nested]})


def test_extra_arguments_replace_those_of_the_configuration() -> None:
    optim = instantiate({"_target_": "imtext.training.optim.AdamW", "lr": 1.0}, lr=0.5)
    assert optim.lr == 0.5


def test_target_nodes_are_found_in_dictionaries_and_lists() -> None:
    config = {"_target_": "a", "b": [{"c": {"_target_": "d"}}]}
    assert [(path, node["_target_"]) for path, node in target_nodes(config)] == [("", "a"), ("b[0].c", "d")]
