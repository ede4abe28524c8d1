"""How good a model is: metrics, tables, panels and curves."""
