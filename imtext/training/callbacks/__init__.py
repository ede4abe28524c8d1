"""Callbacks of training: log lines, warnings, checkpoints, averages and pictures. One file per callback."""

from imtext.training.callbacks.averaging import AverageWeights
from imtext.training.callbacks.checkpoints import LastCheckpoint, RunCheckpoint
from imtext.training.callbacks.diagnosis import Diagnosis
from imtext.training.callbacks.divergence import StopWhenDiverged
from imtext.training.callbacks.early_stopping import StopEarly
from imtext.training.callbacks.examples import RetrievalExamples
from imtext.training.callbacks.learning_rates import LearningRates
from imtext.training.callbacks.mining import MineNeighbours
from imtext.training.callbacks.progress import ProgressBar
from imtext.training.callbacks.summary import EpochSummary

__all__ = [
    "AverageWeights",
    "Diagnosis",
    "EpochSummary",
    "LastCheckpoint",
    "LearningRates",
    "MineNeighbours",
    "ProgressBar",
    "RetrievalExamples",
    "RunCheckpoint",
    "StopEarly",
    "StopWhenDiverged",
]
