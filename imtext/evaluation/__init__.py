"""How good a model is: figures, tables, pictures."""
