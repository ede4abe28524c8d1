"""Many trainings: multiruns of Hydra, and comparisons of trials in one process."""
