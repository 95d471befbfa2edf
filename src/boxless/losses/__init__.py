"""Losses of distillation, and the exact region form inside."""
