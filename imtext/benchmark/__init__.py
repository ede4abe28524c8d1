"""Speed and memory, measured: ``python -m imtext.benchmark train | search | index``."""
