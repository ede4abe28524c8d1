"""The losses, one file each."""

from imtext.losses.base import Loss, PairwiseLoss, total_loss
from imtext.losses.distillation import Distillation
from imtext.losses.infonce import InfoNCE
from imtext.losses.max_violation import MaxViolation
from imtext.losses.siglip import SigLIP
from imtext.losses.targets import Targets
from imtext.losses.weighted_sum import WeightedSum

__all__ = [
    "Distillation",
    "InfoNCE",
    "Loss",
    "MaxViolation",
    "PairwiseLoss",
    "SigLIP",
    "Targets",
    "WeightedSum",
    "total_loss",
]
