"""Classification and localisation metrics."""
