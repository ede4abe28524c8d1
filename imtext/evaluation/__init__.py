"""Evaluation of models: metrics, tables, panels and curves."""
