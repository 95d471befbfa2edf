"""Candidate boxes: proposers, the store and its extraction."""
