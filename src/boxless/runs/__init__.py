"""A run: plan, execute, steps, verify."""
