"""The one way pictures are resized, in training and in prediction alike."""

import numpy as np
from PIL import Image

from boxless.types import UInt8Array


def resize_square(image: UInt8Array, size: int) -> UInt8Array:
    """Squash an image to a square; bilinear with antialiasing (Pillow's).

    Args:
        image: (H, W, 3) RGB.
        size: Side of the result in pixels.

    Returns:
        (size, size, 3).
    """
    if image.shape[:2] == (size, size):
        return image
    resized = Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(resized)
