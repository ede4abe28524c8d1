"""Train a small image-text dual encoder on your pictures and captions, and search with it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imtext.search import Predictor, create_predictor, load_bundle
    from imtext.training.checkpoints import TrainedModel, load_model

__version__ = "0.1.0"

_HOMES = {
    "Predictor": "imtext.search",
    "create_predictor": "imtext.search",
    "load_bundle": "imtext.search",
    "TrainedModel": "imtext.training.checkpoints",
    "load_model": "imtext.training.checkpoints",
}
__all__ = ["Predictor", "TrainedModel", "__version__", "create_predictor", "load_bundle", "load_model"]


def __getattr__(name: str) -> Any:
    """Load a part only when it is asked for: searching never waits for torch."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
