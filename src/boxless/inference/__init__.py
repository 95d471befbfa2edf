"""Prediction with an exported student; never imports torch."""
