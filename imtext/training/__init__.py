"""What happens between data and a trained model."""
