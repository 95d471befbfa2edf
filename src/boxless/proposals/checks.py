"""What every proposal must satisfy."""

import numpy as np

from boxless.errors import StoreError
from boxless.metrics.boxes import clip
from boxless.types import Float32Array, Proposals

SLACK = 0.01  # pixels a box may stick out of its image: float32 rounding of scaled coordinates


def first_fault(
    boxes: Float32Array, scores: Float32Array, width: int, height: int, *, slack: float = SLACK
) -> tuple[int, str] | None:
    """Look for a box that later steps would silently turn into garbage: its row and fault, or None.

    Args:
        boxes: (R, 4) boxes.
        scores: (R,) scores.
        width: Width of the image in pixels.
        height: Height of the image in pixels.
        slack: Pixels that a box may stick out of its image.
    """
    limit = np.array([width, height], np.float32) + np.float32(slack)
    with np.errstate(invalid="ignore"):
        inside = clip(boxes, width, height)
        leaves = (boxes[:, :2] < -slack).any(1) | (boxes[:, 2:] > limit).any(1)
        faults = {
            "a coordinate is not finite": ~np.isfinite(boxes).all(1),
            "the score is not finite": ~np.isfinite(scores),
            "the score is negative": scores < 0,
            "the box is inverted or empty": (boxes[:, 2:] <= boxes[:, :2]).any(1),
            f"the box leaves the image of {width} x {height} pixels": leaves,
            f"the box lies outside the image of {width} x {height} pixels": (
                inside[:, 2:] <= inside[:, :2]
            ).any(1),
        }
    for fault, rows in faults.items():
        if rows.any():
            return int(np.argmax(rows)), fault
    return None


def check_proposals(proposals: Proposals, image_id: str, where: str = "") -> None:
    """Refuse proposals that are not as they should be.

    Args:
        proposals: Boxes of one image.
        image_id: Named in the error.
        where: Store or file the proposals come from, named in the error.

    Raises:
        StoreError: Wrong shape, no box, or one with a `first_fault`. Names image and row.
    """
    boxes, scores = proposals.boxes, proposals.scores
    place = f"image {image_id!r}" + (f" in {where}" if where else "")
    if boxes.ndim != 2 or boxes.shape[1] != 4 or scores.shape != boxes.shape[:1]:
        raise StoreError(
            f"{place}: expected (R, 4) boxes and (R,) scores, "
            f"found {boxes.shape} and {scores.shape}"
        )
    if len(boxes) == 0:
        raise StoreError(f"{place}: expected at least one box, found none")
    found = first_fault(boxes, scores, proposals.width, proposals.height)
    if found is not None:
        row, fault = found
        raise StoreError(
            f"{place}, row {row}: {fault}; found box {boxes[row].tolist()} "
            f"with score {scores[row]}",
            hint="boxes are (x1, y1, x2, y2) in pixels of the original image, best first; "
            "propose again",
        )
