"""Class maps against the true boxes of the test images, which training never saw."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np

from boxless.inference.location import LocationSettings, locate, peak
from boxless.metrics.localization import (
    correct_localization,
    detection_average_precision,
    pointing_game,
    share_of_yes,
)
from boxless.runs.context import Run
from boxless.types import PRESENT, Detections, Float32Array, Float64Array

TOLERANCE: Final = 15
"""Pixels that a point may lie outside a box in the tolerant pointing game (Zhang et al.)."""
DETECTION_FLOOR: Final = 0.01
"""Classes less probable than this get no box in the detection AP."""


@dataclass(frozen=True, slots=True)
class Answers:
    """How one model localized in each test image.

    Attributes:
        pointing: (M, K) of 1, 0 and NaN: did the strongest cell lie in a true box?
        pointing_tolerant: The same, at most `TOLERANCE` pixels outside.
        corloc: The same of the box's overlap.
        detection: (K,) average precision of the boxes.
    """

    pointing: Float64Array
    pointing_tolerant: Float64Array
    corloc: Float64Array
    detection: Float64Array

    def figures(self) -> dict[str, float | None]:
        """Means over classes, by the names of `boxless.report.localization.SeedMapLocalization`."""
        return {
            "pointing": mean(share_of_yes(self.pointing)),
            "pointing_tolerant": mean(share_of_yes(self.pointing_tolerant)),
            "corloc": mean(share_of_yes(self.corloc)),
            "detection_map": mean(self.detection),
        }


def compare_with_boxes(
    run: Run, maps: Float32Array, probabilities: Float32Array, settings: LocationSettings
) -> Answers:
    """Compare one model's maps of the test images with the true boxes.

    Args:
        run: The run; its test images have boxes.
        maps: (M, K, h, w) class maps.
        probabilities: (M, K), the scores of the boxes.
        settings: How boxes are made.
    """
    records, labels = run.test.records, run.test.labels
    M, K = labels.shape
    truths = [record.boxes or () for record in records]
    points = np.full((M, K, 2), np.nan)
    boxes = np.full((M, K, 4), np.nan)
    detections = []
    for row, record in enumerate(records):
        size = size_of(run, record.path)
        asked = labels[row] == PRESENT
        for k in np.flatnonzero(asked):
            points[row, k] = peak(maps[row, k], size, settings)
        wanted = np.flatnonzero(asked | (probabilities[row] > DETECTION_FLOOR)).tolist()
        for box in locate(maps[row], size, wanted, settings):
            boxes[row, box.label] = box.x1, box.y1, box.x2, box.y2
        sure = np.flatnonzero(probabilities[row] > DETECTION_FLOOR)
        detections.append(
            Detections(boxes[row, sure].astype(np.float32), probabilities[row, sure], sure)
        )
    asked = partial(pointing_game, list(points), truths, labels, num_classes=K, per_image=True)
    return Answers(
        pointing=asked(),
        pointing_tolerant=asked(tolerance=TOLERANCE),
        corloc=correct_localization(list(boxes), truths, labels, num_classes=K, per_image=True),
        detection=detection_average_precision(detections, truths, num_classes=K),
    )


def references(run: Run) -> dict[str, Any]:
    """What one reaches without any model: the middle of the image, the whole image."""
    labels = run.test.labels
    K = labels.shape[1]
    truths = [record.boxes or () for record in run.test.records]
    sizes = [size_of(run, record.path) for record in run.test.records]
    middles = [np.tile([width / 2, height / 2], (K, 1)) for width, height in sizes]
    wholes = [np.tile([0, 0, width, height], (K, 1)) for width, height in sizes]
    asked = pointing_game(middles, truths, labels, num_classes=K, per_image=True)
    return {
        "images": len(run.test),
        "pairs": int((~np.isnan(asked)).sum()),
        "tolerance": TOLERANCE,
        "centre_pointing": mean(share_of_yes(asked)),
        "whole_image_corloc": mean(correct_localization(wholes, truths, labels, num_classes=K)),
    }


def size_of(run: Run, path: str) -> tuple[int, int]:
    """Width and height of an image in pixels."""
    height, width = run.images(path).shape[:2]
    return width, height


def mean(values: Float64Array) -> float | None:
    """Mean of the values that are not NaN; None where all are."""
    there = values[~np.isnan(values)]
    return float(there.mean()) if there.size else None
