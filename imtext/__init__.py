"""Train a small image-text dual encoder on your pictures and captions, and search with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imtext.checkpoints import TrainedModel, load_model

__version__ = "0.1.0"
__all__ = ["TrainedModel", "__version__", "load_model"]


def __getattr__(name: str) -> Any:
    """Load what needs torch only when it is asked for."""
    if name in ("TrainedModel", "load_model"):
        from imtext import checkpoints

        return getattr(checkpoints, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
