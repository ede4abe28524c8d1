"""Accelerators are used if they are there, and missed with a message."""

from __future__ import annotations

from pathlib import Path

import pytest

from imtext.errors import SearchError
from imtext.search import Bundle, Encoder
from imtext.search.providers import chosen, require_running, wanted

CPU: tuple[str, dict[str, str]] = ("CPUExecutionProvider", {})
ALL = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "OpenVINOExecutionProvider", "CPUExecutionProvider"]


def test_the_processor_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IMTEXT_PROVIDERS", raising=False)
    assert wanted() == "cpu"
    monkeypatch.setenv("IMTEXT_PROVIDERS", " CUDA ")
    assert wanted() == "cuda"
    monkeypatch.setenv("IMTEXT_PROVIDERS", "gpu")
    with pytest.raises(SearchError, match="IMTEXT_PROVIDERS=gpu is none of cpu, auto, cuda"):
        wanted()


def test_what_is_there_is_chosen() -> None:
    assert chosen("cpu", ALL) == [CPU]
    assert chosen("auto", ALL) == [("CUDAExecutionProvider", {}), CPU]
    assert chosen("auto", ["TensorrtExecutionProvider", "CPUExecutionProvider"]) == [CPU]
    assert chosen("openvino", ALL) == [("OpenVINOExecutionProvider", {}), CPU]
    with pytest.raises(SearchError, match=r"supports cpu, cuda, .*pip install onnxruntime-directml"):
        chosen("directml", ALL)


def test_engines_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("imtext.search.providers.user_cache_path", lambda *args, **options: tmp_path / "cache")
    (name, options), last = chosen("tensorrt", ALL)
    assert (name, last) == ("TensorrtExecutionProvider", CPU)
    assert Path(options["trt_engine_cache_path"]).is_dir()


def test_a_silent_fall_back_is_noticed() -> None:
    require_running("auto", ["CPUExecutionProvider"])
    require_running("cuda", ["CUDAExecutionProvider", "CPUExecutionProvider"])
    with pytest.raises(SearchError, match="cannot start it here"):
        require_running("cuda", ["CPUExecutionProvider"])


def test_an_encoder_says_what_is_missing(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMTEXT_PROVIDERS", "cuda")
    with pytest.raises(SearchError, match=r"IMTEXT_PROVIDERS=cuda.*pip install onnxruntime-gpu"):
        Encoder(bundle).encode_texts(["a star"])
    monkeypatch.setenv("IMTEXT_PROVIDERS", "auto")
    assert Encoder(bundle).encode_texts(["a star"]).shape == (1, bundle.embed_dim)
