"""Engines of TensorRT, which no machine of the tests has: what is missing is said, and what would run is known."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
from typer.testing import CliRunner

from imtext.cli.main import app
from imtext.errors import SearchError
from imtext.search import Bundle, engines
from imtext.search.encoder import BATCH
from imtext.search.engines import build_engines, require_tensorrt
from imtext.search.graph import open_session
from imtext.training.checkpoints import TrainedModel

needs_none = pytest.mark.skipif(
    "TensorrtExecutionProvider" in onnxruntime.get_available_providers(), reason="TensorRT is installed"
)


@needs_none
def test_what_is_missing_is_said(bundle: Bundle) -> None:
    for call in (require_tensorrt, lambda: build_engines(bundle)):
        with pytest.raises(SearchError, match=r"IMTEXT_PROVIDERS=tensorrt.*pip install onnxruntime-gpu tensorrt-cu12"):
            call()


@needs_none
def test_before_anything_is_exported() -> None:
    done = CliRunner().invoke(app, ["export", "/no/run", "--tensorrt"])
    assert "pip install onnxruntime-gpu tensorrt-cu12" in str(done.exception)


class Counted:
    """A session that writes down the numbers of rows it gets."""

    def __init__(self, session: Any, rows: list[int]) -> None:
        self.session, self.rows = session, rows

    def __getattr__(self, name: str) -> Any:
        return getattr(self.session, name)

    def run(self, outputs: Any, inputs: dict[str, Any]) -> Any:
        self.rows.append(len(next(iter(inputs.values()))))
        return self.session.run(outputs, inputs)


@pytest.mark.parametrize("second_look", [False, True], ids=["towers", "reranker"])
def test_the_least_and_the_most(
    bundle: Bundle,
    reranked: tuple[TrainedModel, Bundle],
    second_look: bool,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """With the processor in the place of the GPU."""
    bundle = reranked[1] if second_look else bundle
    rows: list[int] = []

    def opened(content: bytes, threads: int | None) -> Counted:
        assert os.environ["IMTEXT_PROVIDERS"] == "tensorrt"
        monkeypatch.setattr("imtext.search.graph.wanted", lambda: "cpu")
        return Counted(open_session(content, threads), rows)

    monkeypatch.setattr("imtext.search.encoder.open_session", opened)
    monkeypatch.setattr(engines, "require_tensorrt", lambda: None)
    monkeypatch.setattr(engines, "engines_folder", lambda: tmp_path)
    monkeypatch.delenv("IMTEXT_PROVIDERS", raising=False)
    assert build_engines(bundle) == tmp_path
    of_each = 3 if second_look else 2  # graphs
    assert rows == [1] * of_each + [BATCH] * of_each
    assert "IMTEXT_PROVIDERS" not in os.environ
