"""Training: from data to a trained model."""
