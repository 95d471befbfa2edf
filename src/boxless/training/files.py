"""Names of the files a training step leaves behind; importing them costs nothing."""

CHECKPOINT = "checkpoint.safetensors"
"""State of a step under way; deleted when it is done."""

WEIGHTS = "weights.safetensors"
"""What the step trained."""
