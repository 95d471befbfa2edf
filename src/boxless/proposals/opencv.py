"""What the searches of OpenCV's contrib part have in common."""

from typing import Any

import numpy as np

from boxless.errors import MissingExtraError
from boxless.metrics.boxes import rescale
from boxless.types import Float32Array, UInt8Array

try:
    import cv2
except ImportError as error:
    raise MissingExtraError("opencv-contrib-python-headless", "train") from error


__all__ = ["cv2", "in_original", "resized", "ximgproc"]

SMALLEST_SEARCHED = 16  # pixels; in a narrower image there is nothing to search


def ximgproc() -> Any:
    """OpenCV's module of the searches; `MissingExtraError` if this OpenCV has no contrib part."""
    if not hasattr(cv2, "ximgproc"):
        raise MissingExtraError("opencv-contrib-python-headless", "train")
    return cv2.ximgproc


def resized(image: UInt8Array, size: int) -> UInt8Array | None:
    """An image with its longer side at `size` pixels; None if nothing to search is left of it."""
    height, width = image.shape[:2]
    scale = size / max(height, width)
    small = (round(width * scale), round(height * scale))
    if min(small) < SMALLEST_SEARCHED:
        return None
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    shrunk: UInt8Array = cv2.resize(image, small, interpolation=way)
    return shrunk


def in_original(found: Any, searched: UInt8Array, image: UInt8Array) -> Float32Array:
    """OpenCV's boxes (x, y, w, h) in the image searched as (R, 4) xyxy boxes in the original."""
    boxes = np.array(found, np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    (height, width), (rows, columns) = image.shape[:2], searched.shape[:2]
    return rescale(boxes, width / columns, height / rows)
