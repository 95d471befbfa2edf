"""Ways to distil, as data."""
