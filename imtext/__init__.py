"""Train a small image-text dual encoder on your pictures and captions, and search with it."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imtext.search import Predictor, create_predictor, load_bundle
    from imtext.training.checkpoints import TrainedModel, load_model

__version__ = "0.1.0"

# From version 1.29 on, ONNX Runtime writes an id of the device and reports its use to Microsoft, unless this is set
# before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_SEARCH = ("Predictor", "create_predictor", "load_bundle")
_TRAINING = ("TrainedModel", "load_model")
__all__ = ["Predictor", "TrainedModel", "__version__", "create_predictor", "load_bundle", "load_model"]


def __getattr__(name: str) -> Any:
    """Import a part when it is first used, so that searching never waits for torch.

    Raises:
        MissingExtraError: the name needs the extra `train`, which is not installed.
    """
    if name in _SEARCH:
        return getattr(import_module("imtext.search"), name)
    if name in _TRAINING:
        from imtext.errors import needs

        with needs("train"):
            return getattr(import_module("imtext.training.checkpoints"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
