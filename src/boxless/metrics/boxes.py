"""Arithmetic of boxes in NumPy.

Convention: ``(x1, y1, x2, y2)`` float, continuous pixel coordinates, ends exclusive. The box of a
whole W x H image is ``(0, 0, W, H)`` and has area W * H; no "+ 1" anywhere.
"""

import numpy as np

from boxless.types import Float32Array


def area(boxes: Float32Array) -> Float32Array:
    """Areas (R,) of boxes (R, 4) in square pixels; 0 where a side is negative."""
    sides = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None)
    areas: Float32Array = (sides[:, 0] * sides[:, 1]).astype(np.float32)
    return areas


def iou(first: Float32Array, second: Float32Array) -> Float32Array:
    """Intersection over union (R, Q) of (R, 4) and (Q, 4) boxes; 0 where both areas are 0."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    sides = np.clip(high - low, 0, None)
    shared = sides[..., 0] * sides[..., 1]
    union = area(first)[:, None] + area(second)[None, :] - shared
    ratio = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return np.asarray(ratio, np.float32)


def rescale(boxes: Float32Array, scale_x: float, scale_y: float) -> Float32Array:
    """Boxes (R, 4) in an image resized by the given factors, new side / old side."""
    factors = np.array([scale_x, scale_y, scale_x, scale_y], np.float32)
    return (boxes * factors).astype(np.float32)


def clip(boxes: Float32Array, width: float, height: float) -> Float32Array:
    """Boxes (R, 4) cut to the image."""
    limit = np.array([width, height, width, height], np.float32)
    return np.clip(boxes, 0, limit).astype(np.float32)
