"""The losses, one file each."""

from imtext.losses.base import Loss, total_loss
from imtext.losses.infonce import InfoNCE

__all__ = ["InfoNCE", "Loss", "total_loss"]
