"""Measure speed and memory: ``python -m imtext.benchmark train | search | index``."""
