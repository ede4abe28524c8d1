from __future__ import annotations

import inspect
import subprocess
import sys
from importlib import import_module

import pytest

from imtext import errors
from imtext.errors import ImtextError, MissingExtraError, install_command, needs

TRAIN = 'pip install "imtext[train]" (in a checkout: uv sync)'
SERVE = 'pip install "imtext[serve]" (in a checkout: uv sync)'

# Packages of the extras behave as if they were not installed.
HIDE = """
import runpy, sys
HIDDEN = {"torch", "lightning", "hydra", "omegaconf", "onnx", "fastapi", "starlette", "uvicorn"}
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name in HIDDEN:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hidden())
"""


def without_extras(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", HIDE + program], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("program", "command", "code"),
    [
        ("runpy.run_module('imtext.train', run_name='__main__')", TRAIN, 1),
        ("runpy.run_module('imtext.evaluate', run_name='__main__')", TRAIN, 1),
        ("sys.argv[1:] = ['train']; runpy.run_module('imtext.benchmark', run_name='__main__')", TRAIN, 1),
        ("sys.argv[1:] = ['export', 'last']; runpy.run_module('imtext', run_name='__main__')", TRAIN, 2),
        ("sys.argv[1:] = ['check', 'a=1']; runpy.run_module('imtext', run_name='__main__')", TRAIN, 2),
        ("sys.argv[1:] = ['serve']; runpy.run_module('imtext', run_name='__main__')", SERVE, 2),
    ],
)
def test_programs_name_the_command_that_installs_the_rest(program: str, command: str, code: int) -> None:
    done = without_extras(program)
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("error: The package ")
    assert done.stderr.rstrip().endswith(command)
    assert done.stderr.count("\n") == 1, "one line"


@pytest.mark.parametrize(
    ("program", "command"),
    [
        ("import imtext; imtext.load_model", TRAIN),
        ("from imtext import load_model", TRAIN),
        ("import imtext.train", TRAIN),
        ("from imtext.search import create_app", SERVE),
    ],
)
def test_the_python_api_names_it_too(program: str, command: str) -> None:
    done = without_extras(program)
    assert done.stderr.rstrip().splitlines()[-1].startswith("imtext.errors.MissingExtraError: The package ")
    assert command in done.stderr


def test_searching_needs_no_extra() -> None:
    done = without_extras("import imtext; imtext.create_predictor, imtext.load_bundle; import imtext.data.scenes")
    assert (done.returncode, done.stderr) == (0, "")


def test_needs() -> None:
    assert install_command("train") == TRAIN
    with (
        pytest.raises(MissingExtraError, match="The package no_such_package is not installed") as caught,
        needs("train"),
    ):
        import_module("no_such_package.part")
    assert isinstance(caught.value, ImtextError)
    assert isinstance(caught.value, ImportError)


def test_other_errors_pass_through() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"imtext\.nothing") as caught, needs("serve"):
        import_module("imtext.nothing")
    assert not isinstance(caught.value, MissingExtraError)
    with pytest.raises(ImportError, match="cannot load"), needs("serve"):
        raise ImportError("cannot load a shared library")


FAMILY = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__]


@pytest.mark.parametrize("kind", FAMILY)
def test_every_error_is_an_imtext_error(kind: type[Exception]) -> None:
    assert issubclass(kind, errors.ImtextError)
    assert kind.__doc__
