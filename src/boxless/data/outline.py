"""The outline of an image: its size as an array, for steps that never look at a pixel."""

import numpy as np

from boxless.data.images import image_size
from boxless.types import UInt8Array


def load_outline(path: str) -> UInt8Array:
    """Stand in for `boxless.data.images.load_image` where the size is all that matters.

    Args:
        path: File path or ``scenes:…``.

    Returns:
        (H, W, 3) black image of the right size that takes no memory; read-only.

    Raises:
        DataError: The file is missing, empty, no image, or too large.
    """
    width, height = image_size(path)
    return np.broadcast_to(np.zeros(3, np.uint8), (height, width, 3))
