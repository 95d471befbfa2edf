"""What every stored proposal must satisfy."""

import numpy as np

from boxless.errors import StoreError
from boxless.types import Proposals

SLACK = 0.01  # pixels a box may stick out of its image: float32 rounding of scaled coordinates


def check_proposals(proposals: Proposals, image_id: str, where: str = "") -> None:
    """Refuse boxes that later steps would silently turn into garbage.

    Args:
        proposals: Boxes of one image.
        image_id: Named in the error.
        where: Store or file the proposals come from, named in the error.

    Raises:
        StoreError: Wrong shape; or a box or score that is not finite, a negative score, an
            inverted or empty box, a box outside the image. Names image and row.
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
    limit = np.array([proposals.width, proposals.height], np.float32) + SLACK
    with np.errstate(invalid="ignore"):
        faults = {
            "a coordinate is not finite": ~np.isfinite(boxes).all(1),
            "the score is not finite": ~np.isfinite(scores),
            "the score is negative": scores < 0,
            "the box is inverted or empty": (boxes[:, 2:] <= boxes[:, :2]).any(1),
            f"the box leaves the image of {proposals.width} x {proposals.height} pixels": (
                (boxes[:, :2] < -SLACK).any(1) | (boxes[:, 2:] > limit).any(1)
            ),
        }
    for fault, rows in faults.items():
        if rows.any():
            row = int(np.argmax(rows))
            raise StoreError(
                f"{place}, row {row}: {fault}; found box {boxes[row].tolist()} "
                f"with score {scores[row]}",
                hint="boxes are (x1, y1, x2, y2) in pixels of the original image, best first; "
                "propose again",
            )
