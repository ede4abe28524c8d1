"""What a training makes smaller: one file a loss."""

from imtext.losses.infonce import InfoNCE

__all__ = ["InfoNCE"]
