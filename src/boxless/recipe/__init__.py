"""The recipe: schema, files, overrides, checks, and the recipes that come with boxless."""
