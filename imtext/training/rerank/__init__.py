"""Training of re-rankers for a dual encoder that has been trained."""
