"""Boxes and the pooling of regions."""
