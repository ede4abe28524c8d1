"""Measure speed and memory: ``python -m imtext.benchmark all``."""
