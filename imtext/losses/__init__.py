"""The losses, one file each."""

from imtext.losses.base import Loss, total_loss
from imtext.losses.infonce import InfoNCE
from imtext.losses.targets import Targets

__all__ = ["InfoNCE", "Loss", "Targets", "total_loss"]
