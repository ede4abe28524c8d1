"""Studies of Optuna: a sampler chooses the settings of trials, workers train them, a database outlives the workers."""
