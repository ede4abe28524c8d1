"""Studies of Optuna: a sampler chooses the settings of trials, workers train them, a database outlives the workers."""

from imtext.training.sweep.study.study import Study

__all__ = ["Study"]
