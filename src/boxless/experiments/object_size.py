"""Gain by object size: do small objects gain more? True boxes serve this measurement alone."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from boxless.metrics.bootstrap import Interval, paired_bootstrap
from boxless.runs.context import Run
from boxless.types import PRESENT, UNKNOWN, Float32Array, Float64Array

NAMES: Final = ("small", "medium", "large")


@dataclass(frozen=True, slots=True)
class SizeGain:
    """Gain of mAP where the class's largest object is of one size.

    Attributes:
        name: One of `NAMES`: thirds of all pairs of test image and class it carries.
        least: Smallest share of the image's area that the object covers.
        most: Largest share.
        pairs: Pairs of image and class.
        gain: Difference of mAP, with the other sizes' positives left out of count.
    """

    name: str
    least: float
    most: float
    pairs: int
    gain: Interval


def gain_by_size(run: Run, taught: Float32Array, plain: Float32Array) -> list[SizeGain]:
    """Gain of mAP for small, medium and large objects.

    Args:
        run: The run; its proposals tell how large images are.
        taught: (S, M, K) scores of the distilled student on the test images.
        plain: (S, M, K) scores of the plain one.

    Returns:
        One value per size; empty where the data set has no true boxes. Positives without a box
        count for no size.
    """
    if not run.manifest.has_boxes:
        return []
    areas = largest_objects(run)
    labels = run.test.labels
    known = np.sort(areas[(labels == PRESENT) & ~np.isnan(areas)])
    gains = []
    for name, part in zip(NAMES, np.array_split(known, len(NAMES)), strict=True):
        if not part.size:
            continue
        inside = (areas >= part[0]) & (areas <= part[-1])
        masked = np.where((labels == PRESENT) & ~inside, np.int8(UNKNOWN), labels)
        gain = paired_bootstrap(taught, plain, masked)
        pairs = int((masked == PRESENT).sum())
        gains.append(SizeGain(name, float(part[0]), float(part[-1]), pairs, gain))
    return gains


def largest_objects(run: Run) -> Float64Array:
    """(M, K) share of the image's area, in [0, 1], of each class's largest object; NaN without."""
    areas = np.full(run.test.labels.shape, np.nan)
    for place, record in enumerate(run.test.records):
        image = run.proposals(record.image_id)
        for box in record.boxes or ():
            x1, y1, x2, y2 = box.xyxy
            share = (x2 - x1) * (y2 - y1) / (image.width * image.height)
            areas[place, box.label] = np.fmax(areas[place, box.label], share)
    return areas
