"""How much of the objects some boxes cover together: for boxes that are to miss nothing."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from boxless.errors import ShapeError
from boxless.types import Float64Array, TrueBox


def object_coverage(boxes: Sequence[ArrayLike], truths: Sequence[Sequence[TrueBox]]) -> float:
    """Share of all objects' area that lies in at least one of an image's boxes.

    Areas are those of unions: what several true boxes share counts once. Whatever the boxes cover
    beside the objects counts nothing, so a box of the whole image covers all: compare sets of
    equally many boxes, and look at CorLoc too.

    Args:
        boxes: (R, 4) boxes of each of M images.
        truths: True boxes of the same images, of any class.

    Returns:
        A share in [0, 1], of the area of the whole set of images; NaN without true boxes.

    Raises:
        ShapeError: The numbers of images differ.

    Example:
        >>> from boxless.metrics.coverage import object_coverage
        >>> from boxless.types import TrueBox
        >>> object_coverage([[[0, 0, 5, 10]]], [[TrueBox(0, (0, 0, 10, 10))]])
        0.5
    """
    if len(boxes) != len(truths):
        raise ShapeError(f"{len(boxes)} images have boxes, but {len(truths)} have true boxes")
    covered = total = 0.0
    for found, objects in zip(boxes, truths, strict=True):
        if objects:
            true = np.array([box.xyxy for box in objects], np.float64)
            own = np.asarray(found, np.float64).reshape(-1, 4)
            both = np.concatenate([true, own])
            columns, rows = np.unique(both[:, 0::2]), np.unique(both[:, 1::2])
            cells = np.diff(rows)[:, None] * np.diff(columns)
            is_object = _inside(true, columns, rows)
            total += float((cells * is_object).sum())
            covered += float((cells * (is_object & _inside(own, columns, rows))).sum())
    return covered / total if total else float("nan")


def _inside(boxes: Float64Array, columns: Float64Array, rows: Float64Array) -> np.ndarray:
    """Which cells of a grid of all boxes' edges lie in at least one box."""
    inside = np.zeros((len(rows) - 1, len(columns) - 1), bool)
    for x1, y1, x2, y2 in boxes:
        inside |= ((rows[:-1] >= y1) & (rows[1:] <= y2))[:, None] & (
            (columns[:-1] >= x1) & (columns[1:] <= x2)
        )
    return inside
