"""Which runs of a re-ranker can go on, and with which settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from imtext.errors import CheckpointError
from imtext.training.checkpoints import FORMAT
from imtext.training.rerank.resume import find_resume_point, overrides_of
from imtext.training.resume import continue_run
from tests.conftest import Compose


def write(path: Path, config: Any, **changes: Any) -> Path:
    """A checkpoint of a re-ranker after three epochs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    loops = {"fit_loop": {"epoch_progress": {"current": {"processed": 3}}}}
    plain = OmegaConf.to_container(config, resolve=True)
    facts = {"format": FORMAT, "rerank": plain, "run_ids": {"mlflow": "abc"}, "overrides": ["seed=3", "ckpt_path='x'"]}
    torch.save({"imtext": facts, "optimizer_states": [], "loops": loops, **changes}, path)
    return path


def test_a_run_goes_on_with_its_settings(compose: Compose, tmp_path: Path) -> None:
    new = compose("ckpt_path=x", name="rerank")
    assert find_resume_point(new) is None
    path = write(tmp_path / "runs/rerank/one/checkpoints/last.ckpt", new)
    config = compose("ckpt_path=x", f"resume={path.parent.parent}", "rerank.max_epochs=9", name="rerank")
    assert find_resume_point(config) == path
    assert config.logger.run_id == "abc"
    root = f"paths.root={tmp_path}"
    assert continue_run([f"resume={path}", root], "rerank", "resume") == [
        "seed=3", "ckpt_path='x'", root, f"resume='{path}'", f"hydra.run.dir='{path.parent.parent}'", "hydra.mode=RUN"
    ]  # fmt: skip
    assert continue_run([root], "rerank", "resume") == [root]
    with pytest.raises(CheckpointError, match=r"another program: go on with `python -m imtext\.rerank resume="):
        continue_run([f"ckpt_path={path}", root])
    assert overrides_of(path) is None  # without a command line


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.reranker.dim=64", "the re-ranker was trained with 128"),
        ("rerank.group=3", "rerank.group=3: the re-ranker was trained with"),
        ("rerank.max_epochs=2", "3 complete epochs"),
    ],
)
def test_settings_that_do_not_fit_are_refused(compose: Compose, tmp_path: Path, override: str, message: str) -> None:
    path = write(tmp_path / "last.ckpt", compose("ckpt_path=x", name="rerank"))
    with pytest.raises(CheckpointError, match=message):
        find_resume_point(compose("ckpt_path=x", f"resume={path}", override, name="rerank"))


def test_another_checkpoint_is_refused(compose: Compose, tmp_path: Path) -> None:
    config = compose("ckpt_path=x", f"resume={tmp_path / 'last.ckpt'}", name="rerank")
    path = write(tmp_path / "last.ckpt", config, imtext={"format": FORMAT})
    with pytest.raises(CheckpointError, match="not the state of a re-ranker's training"):
        find_resume_point(config)
    with pytest.raises(CheckpointError, match=r"another program: go on with `python -m imtext\.train"):
        continue_run([f"resume={path}", f"paths.root={tmp_path}"], "rerank", "resume")
