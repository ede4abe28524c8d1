"""Where ONNX Runtime computes: on the processor, or on an accelerator that its installed package supports.

`IMTEXT_PROVIDERS` chooses: ``cpu`` (the default: the same numbers on every machine), the name of an accelerator, or
``auto`` for the first one that is there.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from imtext.errors import SearchError

VARIABLE = "IMTEXT_PROVIDERS"
CPU, AUTO = "cpu", "auto"
# Name → ONNX Runtime's name, and what to install instead of the package `onnxruntime`. In the order of `auto`.
ACCELERATORS = {
    "cuda": ("CUDAExecutionProvider", "onnxruntime-gpu"),
    "coreml": ("CoreMLExecutionProvider", "onnxruntime on a Mac"),
    "openvino": ("OpenVINOExecutionProvider", "onnxruntime-openvino"),
    "directml": ("DmlExecutionProvider", "onnxruntime-directml"),
    "tensorrt": ("TensorrtExecutionProvider", "onnxruntime-gpu tensorrt-cu12"),
}
SLOW_TO_LOAD = {"tensorrt"}  # builds an engine for minutes, so only by name

Provider = tuple[str, dict[str, Any]]


def wanted() -> str:
    """What `IMTEXT_PROVIDERS` says.

    Raises:
        SearchError: it is no name of a provider.
    """
    name = os.environ.get(VARIABLE, "").strip().lower() or CPU
    if name not in (CPU, AUTO, *ACCELERATORS):
        raise SearchError(f"{VARIABLE}={name} is none of {CPU}, {AUTO}, {', '.join(ACCELERATORS)}")
    return name


def chosen(name: str, available: Sequence[str]) -> list[Provider]:
    """The providers to load a graph with, best first; the processor is always the last.

    Args:
        name: result of `wanted`.
        available: ONNX Runtime's names of the providers that its package supports.

    Raises:
        SearchError: an accelerator was named that the installed package does not support.
    """
    cpu: list[Provider] = [("CPUExecutionProvider", {})]
    there = [one for one, (provider, _) in ACCELERATORS.items() if provider in available]
    if name == CPU:
        return cpu
    if name == AUTO:
        first = next((one for one in there if one not in SLOW_TO_LOAD), None)
        return cpu if first is None else [(ACCELERATORS[first][0], {}), *cpu]
    if name not in there:
        raise SearchError(
            f"{VARIABLE}={name}: the installed ONNX Runtime supports {', '.join([CPU, *there])}. Replace it: "
            f"pip uninstall onnxruntime; pip install {ACCELERATORS[name][1]}"
        )
    return [(ACCELERATORS[name][0], _options(name)), *cpu]


def require_running(name: str, running: Sequence[str]) -> None:
    """Check that a graph runs where it should. ONNX Runtime falls back to the processor without an error.

    Args:
        name: result of `wanted`; `cpu` and `auto` accept anything.
        running: ONNX Runtime's names of the providers of a loaded graph.

    Raises:
        SearchError: the graph does not run on the accelerator that was named.
    """
    if name in ACCELERATORS and ACCELERATORS[name][0] not in running:
        raise SearchError(
            f"{VARIABLE}={name}: ONNX Runtime cannot start it here, because the device, its driver or its libraries "
            "are missing; its own messages above say which"
        )


def engines_folder() -> Path:
    """Where the engines of TensorRT are kept."""
    return user_cache_path("imtext", appauthor=False) / "tensorrt"


def _options(name: str) -> dict[str, Any]:
    """TensorRT builds an engine for each graph and device; it is kept for the next process."""
    if name != "tensorrt":
        return {}
    folder = engines_folder()
    folder.mkdir(parents=True, exist_ok=True)
    return {"trt_engine_cache_enable": True, "trt_engine_cache_path": str(folder)}
