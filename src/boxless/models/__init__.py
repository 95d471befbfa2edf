"""Backbones, the detector (teacher) and the classifier (student)."""
