"""The program that compares trials."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from imtext.errors import ConfigError, MissingExtraError
from imtext.sweep import check, search, sweep
from imtext.train import prepare
from tests.conftest import Compose
from tests.runs import QUICK

TRIALS = "sweep.trials=['','optim.lr=1e-2']"
ALL = [*QUICK, "trainer.max_epochs=1", TRIALS, "sweep.seeds=[1,2]"]


def test_a_failed_trial_does_not_stop_the_others(
    compose: Compose, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = [*ALL, "sweep.trials=['','data.teacher=nowhere.safetensors','optim.lr=1e-2']"]
    config = compose(*own, name="sweep")
    (tmp_path / "runs" / "run").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"2 of 6 trials failed: data\.teacher=nowhere\.safetensors, seed 1; "):
        sweep(config, own)
    written = (tmp_path / "runs" / "run" / "results.jsonl").read_text().splitlines()
    assert len(written) == 4
    assert "optim.lr=1e-2" in capsys.readouterr().out


def test_a_stopped_sweep_goes_on(compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [f"paths.root={tmp_path}", f"paths.cache_dir={tmp_path}/cache"]
    own, folders = [*ALL, *paths], [tmp_path / "runs" / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir(parents=True)
    whole = sweep(compose(*own, name="sweep", output="one"), own)
    lines = (folders[0] / "results.jsonl").read_text().splitlines()
    (folders[0] / "results.jsonl").write_text("\n".join([*lines[:3], lines[3][:20]]))
    again = [*own, f"sweep.resume={folders[0]}"]
    resumed = sweep(compose(*again, name="sweep", output="two"), again)
    assert [each.trial for each in resumed] == [each.trial for each in whole]
    assert resumed[:3] == whole[:3]
    assert {**resumed[3].metrics, "seconds": 0} == {**whole[3].metrics, "seconds": 0}
    assert len((folders[1] / "results.jsonl").read_text().splitlines()) == 4
    assert "| (as it is) | 1, 2 |" in (folders[1] / "comparison.md").read_text()


def test_results_of_other_settings_are_not_taken_over(compose: Compose, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    one = [*ALL, "sweep.seeds=[1]"]
    sweep(compose(*one, name="sweep", output="one"), one)
    other = [*one, "optim.weight_decay=0.3", f"sweep.resume={tmp_path}/runs/one"]
    first = (tmp_path / "runs" / "one" / "results.jsonl").read_text()
    sweep(compose(*other, name="sweep", output="two"), other)
    second = (tmp_path / "runs" / "two" / "results.jsonl").read_text()
    assert first.splitlines()[0] not in second
    assert "weight_decay=0.3" in second


def test_mistakes(compose: Compose, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no results\.jsonl"):
        sweep(compose(*ALL, f"sweep.resume={tmp_path}", name="sweep"), ALL)
    with pytest.raises(ConfigError, match="a grid of Hydra"):
        sweep(compose(*QUICK), [])
    with pytest.raises(ConfigError, match=r"python -m imtext\.sweep"):
        prepare(compose(*QUICK, "sweep=tricks"))
    with pytest.raises(ConfigError, match=r"optim\.lr=1,2: list the trials, as in sweep\.trials=\['optim.lr=…', …\]"):
        check(["optim.lr=1,2"])


def test_optuna(compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space = "sweep.space={optim.lr: [1e-3, 1e-2]}"
    assert check(["sweep=optuna", "loss=infonce,siglip"])[1] == '+sweep.space={loss: ["infonce", "siglip"]}'
    with pytest.raises(ConfigError, match=r"sweep\.space is needed: "):
        search(compose("sweep=optuna", name="sweep"), [])
    with pytest.raises(ConfigError, match=r"no setting called optim\.rl"):
        search(compose("sweep=optuna", "sweep.space={optim.rl: [1]}", name="sweep"), [])
    own = [*QUICK, "trainer.max_epochs=1", "sweep=optuna", space, "sweep.n_trials=1"]
    assert len(search(compose(*own, name="sweep"), own)) == 1
    assert list(tmp_path.glob("runs/studies/imtext/report.html"))
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r'pip install "imtext\[optuna\]"'):
        check(["sweep=optuna", space])
    assert check(["sweep=tricks"]) == ["sweep=tricks"]


def test_the_command_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "imtext.sweep", *ALL, f"paths.root={tmp_path}", f"paths.cache_dir={tmp_path}/c"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "difference" in done.stdout
    assert len(list(tmp_path.glob("runs/sweep/*/comparison.md"))) == 1
    wrong = subprocess.run([*command, "sweep.trials=['optim.rl=1']"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 1
    assert "no setting called optim.rl" in wrong.stderr
    assert "Traceback" not in wrong.stderr
