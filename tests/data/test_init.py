"""The package imports heavy modules only when they are needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

import imtext.data


def test_scenes_need_neither_torch_nor_lightning() -> None:
    program = (
        "import sys, imtext.data.scenes\n"
        "print([name for name in ('torch', 'torchvision', 'lightning', 'datasets', 'hydra') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", imtext.data.__all__)
def test_public_names(name: str) -> None:
    assert getattr(imtext.data, name).__name__ == name


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="CaptionTokenizer"):
        imtext.data.CaptionTokenizer  # noqa: B018
