"""Faster memory for programs."""

from __future__ import annotations

import os

import pytest
import torch

from imtext.config.memory import speed_up_memory


def test_it_is_harmless_and_keeps_what_the_user_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", "0")
    speed_up_memory()
    assert os.environ["THP_MEM_ALLOC_ENABLE"] == "0"
    monkeypatch.delenv("THP_MEM_ALLOC_ENABLE")
    speed_up_memory()
    assert os.environ["THP_MEM_ALLOC_ENABLE"] == "1"
    assert torch.ones(1_000_000).sum() == 1_000_000
