"""Failed trials are noticed, wherever they ran."""

from __future__ import annotations

from pathlib import Path

from omegaconf import OmegaConf

from imtext.config.failures import FAILED, collect, forget, leave, take


def test_trials_of_this_and_of_other_processes(tmp_path: Path) -> None:
    here, elsewhere = tmp_path / "lr=1" / "seed=1", tmp_path / "lr=1" / "seed=2"
    for folder in (here, elsewhere):
        (folder / ".hydra").mkdir(parents=True)
        OmegaConf.save(["lr=1", folder.name], folder / ".hydra" / "overrides.yaml")
    take()
    leave(here, "bad luck")
    (elsewhere / FAILED).write_text("bad luck")
    collect(tmp_path)
    assert take() == ["lr=1 seed=1", "lr=1 seed=2"]
    assert take() == []


def test_a_trial_that_is_run_again_has_not_failed(tmp_path: Path) -> None:
    take()
    leave(tmp_path, "bad luck")
    forget(tmp_path)
    collect(tmp_path)
    assert take() == []
