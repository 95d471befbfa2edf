"""Recipes that come with boxless, as TOML files."""
