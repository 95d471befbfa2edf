"""Which of the boxes that a search found are kept, in what order, and what fills the gaps."""

from typing import TYPE_CHECKING

import numpy as np

from boxless.metrics.boxes import area
from boxless.proposals.grid import grid_boxes

if TYPE_CHECKING:
    from boxless.types import Float32Array

AT_LEAST = 50  # boxes an image, topped up from the grid where a search gives fewer
STAGES = (0.6, 0.8)  # overlaps allowed among the first boxes, and among those that fill the rest
MAX_SHARE = 0.125  # a smallest side never exceeds this share of the image's shorter side


def smallest_side(min_box_size: float, width: int, height: int) -> float:
    """Shortest side that a box of this image must have.

    Args:
        min_box_size: What is asked for, in pixels.
        width: Width of the image in pixels.
        height: Height of the image in pixels.

    Returns:
        ``min_box_size``, in small images an eighth of the shorter side.
    """
    return min(min_box_size, MAX_SHARE * min(width, height))


def large_enough(boxes: "Float32Array", side: float) -> "np.ndarray":
    """Which boxes have no side shorter than that, and a positive area.

    Args:
        boxes: (R, 4) boxes.
        side: Shortest side allowed, in pixels.

    Returns:
        (R,) bool.
    """
    shorter = (boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf)
    usable: np.ndarray = shorter >= max(side, 1e-3)
    return usable


def diverse_order(boxes: "Float32Array", stages: tuple[float, ...], count: int) -> "np.ndarray":
    """Order boxes so that the first ones differ from each other.

    Each stage walks through the boxes left over, in their order, and takes those whose IoU with
    every box taken before is at most the stage's.

    Args:
        boxes: (R, 4) boxes of positive area, best first.
        stages: Overlaps allowed, ascending.
        count: Most boxes to take.

    Returns:
        Indices of at most ``count`` boxes.
    """
    x1, y1, x2, y2 = np.ascontiguousarray(boxes.T)
    areas = area(boxes)
    nearest = np.zeros(len(boxes), np.float32)  # IoU with the closest box taken so far
    free = np.ones(len(boxes), bool)
    taken: list[int] = []
    for allowed in stages:
        for index in range(len(boxes)):
            if len(taken) == count:
                return np.array(taken, np.int64)
            if free[index] and nearest[index] <= allowed:
                free[index] = False
                taken.append(index)
                # IoU of one box with all, in place of `iou`: a third of the time in this loop
                across = np.minimum(x2, x2[index]) - np.maximum(x1, x1[index])
                down = np.minimum(y2, y2[index]) - np.maximum(y1, y1[index])
                shared = np.maximum(across, 0) * np.maximum(down, 0)
                nearest = np.maximum(nearest, shared / (areas + areas[index] - shared))
    return np.array(taken, np.int64)


def top_up(
    boxes: "Float32Array", scores: "Float32Array", width: int, height: int, count: int
) -> "tuple[Float32Array, Float32Array]":
    """Fill a short list from the grid: whole image first, with the lowest score of the list.

    Args:
        boxes: (R, 4) boxes, best first.
        scores: (R,) scores; an empty list is filled with score 1.
        width: Width of the image in pixels.
        height: Height of the image in pixels.
        count: Boxes wanted at least.

    Returns:
        Boxes and scores, ``max(R, count)`` of each.
    """
    missing = count - len(boxes)
    if missing <= 0:
        return boxes, scores
    score = scores.min(initial=1.0)
    more = grid_boxes(width, height, missing)
    filled = np.concatenate([scores, np.full(missing, score, np.float32)])
    return np.concatenate([boxes, more]), filled
