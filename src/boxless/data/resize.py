"""The one way in which an image becomes a square, for training and for prediction alike."""

import numpy as np
from PIL import Image

from boxless.errors import ShapeError
from boxless.types import UInt8Array


def resize_square(image: UInt8Array, size: int, *, antialias: bool = True) -> UInt8Array:
    """Squash an image to a square, bilinear, proportions not kept.

    Args:
        image: (H, W, 3).
        size: S, side of the result in pixels.
        antialias: When shrinking, average over all pixels under a target pixel (Pillow's
            ``resize``); otherwise interpolate between the nearest four, which skips pixels.

    Returns:
        (S, S, 3); `image` itself if it has that size already.

    Raises:
        ShapeError: If the image is not (H, W, 3) uint8 with at least one pixel.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise ShapeError(
            f"an image must be (H, W, 3) uint8 in RGB order, found {image.shape} {image.dtype}"
        )
    height, width = image.shape[:2]
    if (height, width) == (size, size):
        return image
    picture = Image.fromarray(np.ascontiguousarray(image))
    if antialias:
        resized = picture.resize((size, size), Image.Resampling.BILINEAR, reducing_gap=None)
    else:
        scale = (width / size, 0.0, 0.0, 0.0, height / size, 0.0)
        resized = picture.transform(
            (size, size), Image.Transform.AFFINE, scale, Image.Resampling.BILINEAR
        )
    return np.asarray(resized, np.uint8)
