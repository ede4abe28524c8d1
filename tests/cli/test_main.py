"""The command as a whole: start, version, help, exit codes, errors as one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from imtext.cli.main import app
from imtext.search import Bundle
from tests.cli.conftest import imtext
from tests.conftest import picture
from tests.exported import Exported

HEAVY = {
    "datasets", "fastapi", "huggingface_hub", "hydra", "lightning", "matplotlib", "mcp", "mlflow", "omegaconf", "onnx",
    "prometheus_client", "scipy", "sklearn", "starlette", "torch", "torchmetrics", "torchvision", "uvicorn",
    "watchfiles",
}  # fmt: skip


def test_no_verb_of_searching_imports_a_heavy_package(
    index: Path, bundle: Bundle, immich: Exported, captions: Path, tmp_path: Path
) -> None:
    photo = str(picture(tmp_path / "a.png", 0))
    commands = [
        ["index", photo, "--index", str(tmp_path / "index"), "--bundle", str(bundle.path)],
        ["index", "--status", "--index", str(tmp_path / "index")],
        ["search", "red", "--json", "--index", str(index), "--min-relevance", "0"],
        ["rank", "red", photo, "--bundle", str(bundle.path)],
        ["tag", photo, "--labels", "red,blue", "--bundle", str(bundle.path)],
        ["bundle", str(immich.folder), "--output", str(tmp_path / "made")],
        ["bundle", "--list"],
        ["calibrate", str(tmp_path / "made"), "--data", str(captions)],
        ["info", str(index)],
        ["check", str(bundle.path)],
        ["demo", str(tmp_path / "demo"), "--pictures", "4", "--bundle", str(bundle.path)],
    ]
    program = (
        "import sys\n"
        "from imtext.cli.main import app\n"
        f"for command in {commands!r}:\n"
        "    app(command, standalone_mode=False)\n"
        f"    print(sorted({HEAVY!r} & {{name.partition('.')[0] for name in sys.modules}}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    heavy = [line for line in done.stderr.splitlines() if line.startswith("[")]
    assert heavy == ["[]"] * len(commands)


def test_version() -> None:
    assert imtext("--version").stdout.startswith("imtext 0.")


def test_help() -> None:
    listed = imtext("--help").stdout
    verbs = ("index", "search", "rank", "tag", "bundle", "calibrate", "export", "serve", "mcp", "info", "check", "demo")
    for verb in verbs:
        assert f"{verb} " in listed
        assert imtext(verb, "-h").returncode == 0


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["search", "red", "--index", "nowhere"], "There is no index in nowhere. Create one: imtext index"),
        (["search"], "No query given"),
        (["search", "--queries", "nothing.txt"], "--queries nothing.txt cannot be read"),
        (["search", "--queries", "empty.txt"], "--queries empty.txt contains no query"),
        (["index", "--index", "made", "--bundle", "nowhere"], "nowhere is not a bundle"),
        (["rank", "red", "gone.jpg"], "There is no bundle below"),
        (["info", "nowhere"], "is not a bundle"),
        (["info"], "There is no index in"),
        (["bundle"], "Name a model: imtext bundle <model>"),
        (["bundle", "nothing"], "nothing is no folder, no owner/name of a model on the hub"),
        (["calibrate", "--data", "a.csv"], "There is no file a.csv"),
        (["tag", "a.png"], "Name labels: --labels beach,dog"),
        (["rank", "--texts", "a dog", "a.png"], 'the picture comes first: imtext rank --texts a.png "a dog"'),
        (["serve", "here", "--index", "there"], "Name one index: either here or --index there"),
        (["info", "here", "--index", "there"], "Name one index: either here or --index there"),
        (["rank", "red", "a.png", "--bundle", "b", "--index", "there"], "either --bundle b or that of --index there"),
        (["serve", "-i", "there"], "There is no index in there"),
        (["mcp", "-i", "there"], "There is no index in there"),
        (["info", "-i", "there"], "There is no index in there"),
        (["check", "-i", "there"], "There is no index in there"),
        (["rank", "red", "a.png", "-i", "there"], "There is no index in there"),
        (["tag", "a.png", "--labels", "red", "-i", "there"], "There is no index in there"),
        (["check", "optim.lrr=1"], "there is no setting called optim.lrr. Did you mean optim.lr"),
    ],
)
def test_errors_are_one_line(args: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture(tmp_path / "a.png", 0)
    (tmp_path / "empty.txt").touch()
    monkeypatch.chdir(tmp_path)
    done = imtext(*args, IMTEXT_ROOT=str(tmp_path), IMTEXT_INDEX=str(tmp_path / "none"))
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_every_verb_of_an_index_names_it_in_the_same_way() -> None:
    # They know no index, or make their own.
    without = {"export", "bundle", "demo", "card", "push", "pull", "register", "promote"}
    verbs = get_command(app).commands  # type: ignore[attr-defined]
    options = {name: [one.opts for one in verb.params if one.name == "index"] for name, verb in verbs.items()}
    assert options == {name: [] if name in without else [["--index", "-i"]] for name in verbs}


def test_the_exit_code_reaches_the_shell(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "imtext", "search", "red", "--index", str(tmp_path / "none")]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "TERM": "dumb"}, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: There is no index in")
    assert done.stderr.count("\n") == 1
