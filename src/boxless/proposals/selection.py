"""Which of the boxes that a search found are kept, in what order, and what fills the gaps."""

import numpy as np

from boxless.errors import ConfigError
from boxless.metrics.boxes import area, clip
from boxless.proposals.grid import grid_boxes
from boxless.proposals.precision import on_lattice
from boxless.types import Float32Array

AT_LEAST = 50  # boxes per image, topped up from the grid where a search gives fewer
STAGES = (0.6, 0.8)  # overlaps allowed among the first boxes, and among those that fill the rest
MAX_SHARE = 0.125  # a smallest side never exceeds this share of the image's shorter side


def require_ranges(settings: object, **ranges: tuple[float, float]) -> None:
    """Refuse (`ConfigError`) settings outside their range: name -> least and greatest value."""
    for name, (low, high) in ranges.items():
        value = getattr(settings, name)
        if not low <= value <= high:
            raise ConfigError(f"{name} must be in [{low}, {high}], found {value}")


def smallest_side(min_box_size: float, width: int, height: int) -> float:
    """Shortest side of a box: ``min_box_size``, in small images an eighth of the shorter side."""
    return min(min_box_size, MAX_SHARE * min(width, height))


def usable(
    boxes: Float32Array, scores: Float32Array, width: int, height: int, min_box_size: float
) -> tuple[Float32Array, Float32Array]:
    """Boxes (R, 4) on the lattice of their image and their scores (R,), without too small ones."""
    boxes = on_lattice(clip(boxes, width, height), width, height)
    shorter = (boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf)
    large = shorter >= max(smallest_side(min_box_size, width, height), 1e-3)
    return boxes[large], scores[large]


def diverse_order(boxes: Float32Array, stages: tuple[float, ...], count: int) -> np.ndarray:
    """Indices of at most ``count`` boxes, ordered so that the first ones differ from each other.

    Each stage walks through the boxes left over, in their order, and takes those whose IoU with
    every box taken before is at most the stage's.

    Args:
        boxes: (R, 4) boxes of positive area, best first.
        stages: Overlaps allowed, ascending.
        count: Most boxes to take.
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
    boxes: Float32Array, scores: Float32Array, width: int, height: int, count: int
) -> tuple[Float32Array, Float32Array]:
    """Fill a short list to ``count`` from the grid, whole image first, with the lowest score."""
    missing = count - len(boxes)
    if missing <= 0:
        return boxes, scores
    score = scores.min(initial=1.0)
    more = grid_boxes(width, height, missing)
    filled = np.concatenate([scores, np.full(missing, score, np.float32)])
    return np.concatenate([boxes, more]), filled
