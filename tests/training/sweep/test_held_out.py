"""Validation with cached frozen blocks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from imtext.evaluation.embed import embed_split
from imtext.training.run import Run, build_run
from imtext.training.sweep import held_out
from imtext.training.sweep.held_out import HeldOut
from tests.conftest import Compose
from tests.runs import QUICK

STAGE = ["stages=frozen", "stages.heads.views=0"]
FROZEN = {
    "nothing": [],
    "some blocks": [*STAGE, "stages.heads.frozen_blocks=5"],
    "the image tower": STAGE,
    "both towers": [*STAGE, "+stages.heads.frozen_text_blocks=all"],
}


def built(compose: Compose, *settings: str) -> Run:
    torch.manual_seed(0)
    return build_run(compose(*QUICK, "trainer.precision=32-true", *settings))


@pytest.mark.parametrize("frozen", FROZEN)
@pytest.mark.parametrize("mirror", [False, True])
def test_metrics_equal_those_of_the_evaluator(compose: Compose, frozen: str, mirror: bool) -> None:
    run = built(compose, *FROZEN[frozen], f"model.mirror={mirror}")
    loader = run.data.eval_dataloader("val")
    expected = embed_split(run.module.model.eval(), loader, torch.device("cpu"), "").compute()
    measured = HeldOut()
    for _ in range(2):  # the second time with what was kept
        assert measured.measure(run) == pytest.approx(expected, abs=1e-5)


def test_frozen_blocks_run_once(compose: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    runs, measured = [built(compose, *FROZEN["the image tower"]) for _ in range(2)], HeldOut()
    pictures, calls = held_out._pictures, []

    def counted(run: Run, device: torch.device) -> Iterator[torch.Tensor]:
        calls.append(run)
        return pictures(run, device)

    monkeypatch.setattr(held_out, "_pictures", counted)
    first, second = (measured.measure(run) for run in runs)
    assert first == second
    assert len(calls) == 1
    with torch.no_grad():
        next(runs[1].module.model.image_encoder.parameters()).add_(0.1)  # another tower
    measured.measure(runs[1])
    assert len(calls) == 2
