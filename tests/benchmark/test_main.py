"""The command line of the benchmarks."""

from __future__ import annotations

import sys

import pytest

from imtext.benchmark.__main__ import main


def test_a_mistake_is_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmark", "train", "trainer.max_epoch=3"])
    with pytest.raises(SystemExit, match=r"error: .*trainer\.max_epochs"):
        main()
