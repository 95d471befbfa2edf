"""From decoded pixels to network input."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from boxless.errors import ShapeError
from boxless.types import Float32Array, UInt8Array


def normalise(
    images: UInt8Array,
    mean: Sequence[float],
    std: Sequence[float],
    *,
    channels: Literal["RGB", "BGR"] = "RGB",
) -> Float32Array:
    """Normalise (N, S, S, 3) RGB pixels: ``(pixel - mean) / std``, (N, 3, S, S) float32.

    `mean` and `std` are for values of 0 to 255, in the order of `channels`.

    Raises:
        ShapeError: If the images have another shape.
    """
    if images.ndim != 4 or images.shape[3] != 3:
        raise ShapeError(f"expected images (N, S, S, 3), found {images.shape}")
    ordered = images[..., ::-1] if channels == "BGR" else images
    planes = np.ascontiguousarray(ordered.transpose(0, 3, 1, 2), np.float32)
    planes -= np.asarray(mean, np.float32).reshape(1, 3, 1, 1)
    planes /= np.asarray(std, np.float32).reshape(1, 3, 1, 1)
    return planes
