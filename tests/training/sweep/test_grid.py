"""The trials in the folders of a multirun."""

from __future__ import annotations

import json
from pathlib import Path

from omegaconf import OmegaConf

from imtext.config.failures import FAILED
from imtext.training.sweep.grid import read_trials


def test_the_trials_of_a_folder(tmp_path: Path) -> None:
    """The second is better than the first, the third has failed."""
    for number, (lr, rsum) in enumerate((("1e-4", 1.2), ("3e-4", 2.5), ("1e9", None))):
        folder = tmp_path / str(number)
        (folder / ".hydra").mkdir(parents=True)
        OmegaConf.save(
            ["data=shapes", "run_name='a b'", "sweep=optim", f"optim.lr={lr}"], folder / ".hydra" / "overrides.yaml"
        )
        if rsum is not None:
            (folder / "metrics.json").write_text(json.dumps({"val/rsum": rsum, "seconds": 2}))
        else:
            (folder / FAILED).write_text("the loss is nan\nand more")
    (tmp_path / "notes").mkdir()
    trials = read_trials(tmp_path)
    assert [trial.number for trial in trials] == [1, 0, 2]
    assert trials[0].overrides == ("data=shapes", "run_name='a b'", "optim.lr=3e-4")
    assert trials[2].metrics == {}
    assert trials[2].note == "failed: the loss is nan"
    assert [trial.number for trial in read_trials(tmp_path, "seconds")] == [0, 1, 2]
    assert read_trials(tmp_path / "none") == []
