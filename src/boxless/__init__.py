"""boxless: image classifiers that learned where to look, from tags alone."""

__version__ = "0.1.0"
