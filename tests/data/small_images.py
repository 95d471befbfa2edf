"""Small pictures for data sets of tests."""

from pathlib import Path

import numpy as np
from PIL import Image


def save_image(path: Path, *, seed: int = 0, size: tuple[int, int] = (24, 16)) -> Path:
    """A small picture whose bytes depend on the seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path
