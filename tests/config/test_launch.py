"""The command line: mistakes are reported at once, in one line."""

from __future__ import annotations

import argparse
import errno
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from imtext.config.launch import _disk_errors, _guard, _helps, check_command_line, flags_parser
from imtext.errors import ConfigError, StoreError


def test_home_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    given = ["--hydra-help", "data.path=~/a b", "+x=~", "~callbacks.examples", "run_name=a~/b"]
    assert check_command_line("train", given) == [
        "--hydra-help", "data.path=/home/me/a b", "+x=/home/me", "~callbacks.examples", "run_name=a~/b"
    ]  # fmt: skip


def test_ranges_of_shards_are_quoted() -> None:
    """Hydra takes braces for dictionaries."""
    given = {
        "data.path=shards/{00..99}.tar": "data.path='shards/{00..99}.tar'",
        "data.path=[a/{0..3}.tar,s3://b/{0..3}.tar]": "data.path=['a/{0..3}.tar','s3://b/{0..3}.tar']",
        "data.path='shards/{00..99}.tar'": "data.path='shards/{00..99}.tar'",
        "+model.settings={a:1}": "+model.settings={a:1}",
        "x=${paths.root}/a": "x=${paths.root}/a",
    }
    assert check_command_line("train", ["--hydra-help", *given]) == ["--hydra-help", *given.values()]


@pytest.mark.parametrize(("number", "count"), [("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_NTASKS")])
def test_processes_that_torchrun_or_slurm_starts_share_a_folder(
    monkeypatch: pytest.MonkeyPatch, number: str, count: str
) -> None:
    given = ["trainer=ddp", "hydra.run.dir=runs/train/big"]
    monkeypatch.setenv(count, "4")
    assert check_command_line("train", given) == given, "a process that starts others itself has no number"
    monkeypatch.setenv(number, "0")
    assert check_command_line("train", given) == given
    assert not _helps()
    with pytest.raises(ConfigError, match=r"4 processes need one folder.*add hydra\.run\.dir=runs/train/<name>"):
        check_command_line("train", ["trainer=ddp"])
    for one in (["seed=1"], ["trainer=ddp", "--cfg", "job"]):  # a script of SLURM may have several tasks for others
        assert set(check_command_line("train", one)) == set(one)
    monkeypatch.setenv(number, "3")
    assert check_command_line("train", given) == [*given, "hydra.output_subdir=null"]
    assert _helps()
    monkeypatch.setenv(count, "1")
    assert check_command_line("train", ["trainer=ddp"]) == ["trainer=ddp"]
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert _helps()


def test_a_process_that_helps_leaves_the_folder_and_the_message_to_the_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(config: object) -> float:
        raise ConfigError("no such thing")

    run = SimpleNamespace(mode=RunMode.RUN, runtime=SimpleNamespace(output_dir=str(tmp_path / "run")))
    monkeypatch.setattr(HydraConfig, "get", lambda: run)
    (tmp_path / "run").mkdir()
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(SystemExit) as ended:
        _guard(refuse)(DictConfig({}))
    assert ended.value.code == 1
    assert (tmp_path / "run").is_dir()
    monkeypatch.delenv("LOCAL_RANK")
    with pytest.raises(SystemExit, match="error: no such thing"):
        _guard(refuse)(DictConfig({}))
    assert not (tmp_path / "run").exists()


def test_a_full_disk_is_explained() -> None:
    with (
        pytest.raises(StoreError, match=r"^No space left on device: /a/b$"),
        _disk_errors(),
    ):
        raise OSError(errno.ENOSPC, "No space left on device", "/a/b")
    with pytest.raises(FileNotFoundError), _disk_errors():
        raise FileNotFoundError(errno.ENOENT, "No such file", "/a/b")


def test_flags_may_stand_between_overrides() -> None:
    given = ["seed=1", "-m", "optim.lr=1e-3,1e-4", "--config-dir", "/x", "bundle=false", "--new-flag"]
    args, _ = flags_parser().parse_known_intermixed_args(given)
    assert args.overrides == ["seed=1", "optim.lr=1e-3,1e-4", "bundle=false"]
    assert args.multirun
    assert args.config_dir == "/x"


def test_every_flag_of_hydra_is_known() -> None:
    def flags(parser: argparse.ArgumentParser) -> dict[str, bool]:
        return {name: each.nargs == 0 for each in parser._actions for name in each.option_strings}

    assert flags(flags_parser()) == flags(get_args_parser())


def test_overrides_are_prepared_before_they_are_checked() -> None:
    assert check_command_line("train", ["x", "--cfg", "job"], lambda _: ["seed=3"]) == ["--cfg", "job", "seed=3"]


def test_several_values_need_a_multirun() -> None:
    with pytest.raises(ConfigError, match="several values make a sweep; add -m"):
        check_command_line("train", ["--cfg", "job", "optim.lr=1e-4,3e-4"])
    check_command_line("train", ["--cfg", "job", "optim.lr=1e-4,3e-4", "hydra.mode=MULTIRUN"])


@pytest.mark.parametrize("flag", ["--help", "--cfg=job"])
def test_help_does_not_wait_for_torch(flag: str, tmp_path: Path) -> None:
    program = (
        f"import sys; sys.argv = ['train', {flag!r}]\n"
        "from imtext.train import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "assert 'torch' not in sys.modules\n"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "mobilenet_lstm" in shown.stdout or "MobileNetV3Small" in shown.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        ("trainer.max_epoch=3", "there is no setting called trainer.max_epoch."),
        ("optim.lr=1e-4,3e-4", "several values make a sweep; add -m"),
    ],
)
def test_command_line_reports_mistakes_without_a_traceback(tmp_path: Path, mistake: str, message: str) -> None:
    command = [sys.executable, "-m", "imtext.train", mistake]
    shown = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert shown.returncode == 1
    assert shown.stderr.startswith(f"error: {mistake}: {message}")
    assert "Traceback" not in shown.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_failed_trial_does_not_stop_the_others(tmp_path: Path) -> None:
    program = (
        "import sys; from imtext.config.launch import launch; from imtext.errors import ConfigError\n"
        f"sys.argv = ['train', '-m', 'seed=1,2', '~logger', 'paths.root={tmp_path}']\n"
        "def task(config):\n"
        "    print('seed', config.seed, flush=True)\n"
        "    if config.seed == 1: raise ConfigError('bad luck')\n"
        "    return 0.0\n"
        "launch('train', task)\n"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert shown.returncode == 1
    assert "seed 2" in shown.stdout
    assert "bad luck" in shown.stdout
    assert "error: 1 trials failed" in shown.stderr
