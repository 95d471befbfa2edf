"""Serve an exported student over HTTP: micro-batches, limits, metrics and a page; never torch."""
