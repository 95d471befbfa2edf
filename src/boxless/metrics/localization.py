"""How well boxes or points found from tags alone hit the true boxes.

Sources: VOCdevkit ``VOCevaldet.m`` (detection AP); Deselaers et al., IJCV 2012 (CorLoc); Zhang et
al., "Top-down neural attention by excitation backprop", IJCV 2018 (pointing game). Boxes are
continuous and ends exclusive, so IoU has no "+ 1" (the devkit's integer boxes have).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from boxless.errors import ConfigError, NumericsError, ShapeError
from boxless.metrics.average_precision import Method, check_method
from boxless.metrics.boxes import iou as box_iou
from boxless.metrics.inputs import as_labels
from boxless.types import PRESENT, Detections, Float32Array, Float64Array, Int8Array, TrueBox


@dataclass(frozen=True, slots=True)
class Matches:
    """Detections of one class, best score first, matched with true boxes.

    Attributes:
        scores: (D,) scores, falling; those matched with difficult boxes are left out.
        correct: (D,) True for a true positive, False for a false one.
        present: Number of true boxes that are not difficult.
    """

    scores: Float64Array
    correct: NDArray[np.bool_]
    present: int


def detection_average_precision(
    detections: Sequence[Detections],
    truths: Sequence[Sequence[TrueBox]],
    *,
    num_classes: int,
    iou: float = 0.5,
    method: Method = "eleven_point",
) -> Float64Array:
    """Average precision of scored boxes by the rules of PASCAL VOC.

    Args:
        detections: Boxes found in each of M images.
        truths: True boxes of the same images.
        num_classes: K.
        iou: Smallest overlap of a match, in (0, 1].
        method: Definition of the area; tables of weakly supervised detection on VOC 2007 use
            ``"eleven_point"``. Here recall may end below 1: what is never found adds 0.

    Returns:
        (K,) values in [0, 1]; NaN for a class without a true box that is not difficult.

    Raises:
        ShapeError: If the numbers of images or boxes do not fit.
        NumericsError: If a score is NaN or infinite.
        ConfigError: If `iou` or `method` make no sense.

    Example:
        >>> import numpy as np
        >>> from boxless.metrics import detection_average_precision
        >>> from boxless.types import Detections, TrueBox
        >>> found = Detections(np.float32([[12, 8, 60, 60]]), np.float32([0.7]), np.array([0]))
        >>> detection_average_precision([found], [[TrueBox(0, (10, 10, 60, 60))]], num_classes=1)
        array([1.])
    """
    check_method(method)
    found = match_detections(detections, truths, num_classes=num_classes, iou=iou)
    return np.array([_area(matches, method) for matches in found])


def match_detections(
    detections: Sequence[Detections],
    truths: Sequence[Sequence[TrueBox]],
    *,
    num_classes: int,
    iou: float = 0.5,
) -> list[Matches]:
    """Match detections with true boxes, best score first (VOCdevkit); K matches.

    Each detection looks at the true box of its class that it overlaps most. Below `iou` it is a
    false positive; if that box is difficult, the detection is ignored; if a better detection took
    it, it is a false positive (duplicate). Equal scores are taken in the order of images, then of
    boxes. Arguments and errors are those of `detection_average_precision`.
    """
    _check_overlap(iou)
    _check_images(truths, detections, "detections")
    scores: list[list[float]] = [[] for _ in range(num_classes)]
    flags: list[list[bool]] = [[] for _ in range(num_classes)]
    present = np.zeros(num_classes, np.int64)
    for image, (found, true) in enumerate(zip(detections, truths, strict=True)):
        _check_detections(found, true, image, num_classes)
        for box in true:
            present[box.label] += not box.difficult
        for label in np.unique(found.labels):
            ranked, correct = _match_image(found, true, int(label), iou)
            scores[label] += ranked
            flags[label] += correct
    matches = []
    for k in range(num_classes):
        values = np.array(scores[k], np.float64)
        order = np.argsort(-values, kind="stable")
        matches.append(Matches(values[order], np.array(flags[k], np.bool_)[order], int(present[k])))
    return matches


def correct_localization(
    top_boxes: Sequence[ArrayLike],
    truths: Sequence[Sequence[TrueBox]],
    labels: ArrayLike | None = None,
    *,
    num_classes: int,
    iou: float = 0.5,
    per_image: bool = False,
) -> Float64Array:
    """CorLoc: share of a class's images in which its best box overlaps a true one.

    Args:
        top_boxes: For each of M images (K, 4), the best box of every class; a row of NaN is a miss.
        truths: True boxes of the same images. A hit on a difficult box is a hit.
        labels: (M, K) values of {1, 0, -1}: class k is asked only where it is 1 and has a true
            box; default: wherever it has a true box that is not difficult.
        num_classes: K.
        iou: Smallest overlap of a hit.
        per_image: Give the answers instead of their shares.

    Returns:
        (K,) shares in [0, 1], NaN for a class that no image has; of `per_image` (M, K) of 1, 0, and
        NaN where nothing is asked.

    Raises:
        ShapeError: If shapes do not fit.
        ConfigError: If `iou` is not in (0, 1].

    Example:
        >>> from boxless.metrics import correct_localization
        >>> from boxless.types import TrueBox
        >>> truths = [[TrueBox(label=0, xyxy=(10, 10, 60, 60))], [TrueBox(0, (0, 0, 20, 20))]]
        >>> top_boxes = [[[12, 8, 60, 60]], [[50, 50, 90, 90]]]  # for each image, a box per class
        >>> correct_localization(top_boxes, truths, num_classes=1)
        array([0.5])
    """
    _check_overlap(iou)
    _check_images(truths, top_boxes, "top_boxes")
    asked = _asked(truths, labels, num_classes)

    def hits(image: int, k: int, target: Float32Array) -> bool:
        best = _row(top_boxes, image, k, (num_classes, 4), "top_boxes")
        return not np.isnan(best).any() and bool((box_iou(best[None], target) >= iou).any())

    answers = _answers(truths, asked, hits)
    return answers if per_image else share_of_yes(answers)


def pointing_game(
    points: Sequence[ArrayLike],
    truths: Sequence[Sequence[TrueBox]],
    labels: ArrayLike | None = None,
    *,
    num_classes: int,
    tolerance: float = 0.0,
    per_image: bool = False,
) -> Float64Array:
    """Share of a class's images in which its strongest point lies in a true box.

    Args:
        points: For each of M images (K, 2), ``(x, y)`` of the strongest response of every class,
            in pixels of the original image; a row of NaN is a miss.
        truths: True boxes of the same images.
        labels: As for `correct_localization`.
        num_classes: K.
        tolerance: Pixels that a point may lie outside (Zhang et al. use 15).
        per_image: Give the answers instead of their shares, as `correct_localization` does.

    Returns:
        (K,) shares in [0, 1]; NaN for a class that no image has.

    Raises:
        ShapeError: If shapes do not fit.
        ConfigError: If `tolerance` is negative.

    Example:
        >>> from boxless.metrics import pointing_game
        >>> from boxless.types import TrueBox
        >>> truths = [[TrueBox(label=0, xyxy=(10, 10, 60, 60))], [TrueBox(0, (0, 0, 20, 20))]]
        >>> pointing_game([[[30, 30]], [[50, 50]]], truths, num_classes=1)
        array([0.5])
    """
    if tolerance < 0:
        raise ConfigError(f"tolerance must be at least 0 pixels, found {tolerance}")
    _check_images(truths, points, "points")
    asked = _asked(truths, labels, num_classes)

    def hits(image: int, k: int, target: Float32Array) -> bool:
        point = _row(points, image, k, (num_classes, 2), "points")
        low, high = target[:, :2] - tolerance, target[:, 2:] + tolerance
        return bool(((point >= low) & (point <= high)).all(axis=1).any())

    answers = _answers(truths, asked, hits)
    return answers if per_image else share_of_yes(answers)


def share_of_yes(answers: Float64Array) -> Float64Array:
    """(K,) shares of 1 in each column of (M, K) answers; NaN where a column has none at all."""
    asked = ~np.isnan(answers)
    total = asked.sum(axis=0)
    result = np.full(len(total), np.nan)
    np.divide(np.nansum(answers, axis=0), total, out=result, where=total > 0)
    return result


def _match_image(
    found: Detections, true: Sequence[TrueBox], label: int, iou: float
) -> tuple[list[float], list[bool]]:
    """Scores and flags of one class in one image, ignored detections left out."""
    chosen = np.flatnonzero(found.labels == label)
    chosen = chosen[np.argsort(-found.scores[chosen], kind="stable")]
    targets = [box for box in true if box.label == label]
    scores = [float(s) for s in found.scores[chosen]]
    if not targets:
        return scores, [False] * len(scores)
    overlaps = box_iou(found.boxes[chosen], _boxes(targets))
    best = overlaps.argmax(axis=1)
    taken = [False] * len(targets)
    kept: list[float] = []
    correct: list[bool] = []
    for score, row, j in zip(scores, overlaps, best, strict=True):
        hit = row[j] >= iou
        if hit and targets[j].difficult:
            continue
        kept.append(score)
        correct.append(bool(hit and not taken[j]))
        taken[j] |= bool(hit)
    return kept, correct


def _area(matches: Matches, method: Method) -> float:
    """Area under the curve of ranked flags; NaN where there is nothing to find."""
    if not matches.present:
        return float("nan")
    ranks = np.flatnonzero(matches.correct) + 1
    if not ranks.size:
        return 0.0
    hits = np.arange(1, len(ranks) + 1)
    precision = hits / ranks
    if method == "non_interpolated":
        return float(precision.sum() / matches.present)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    if method == "envelope":
        return float(envelope.sum() / matches.present)
    reached = np.searchsorted(10 * hits, np.arange(11) * matches.present)
    return float(np.append(envelope, 0.0)[reached].mean())


def _asked(
    truths: Sequence[Sequence[TrueBox]], labels: ArrayLike | None, num_classes: int
) -> NDArray[np.bool_]:
    """(M, K): is class k asked in this image?"""
    asked = np.zeros((len(truths), num_classes), np.bool_)
    for image, true in enumerate(truths):
        for box in true:
            _check_label(box.label, image, num_classes)
            asked[image, box.label] |= labels is not None or not box.difficult
    if labels is None:
        return asked
    tags: Int8Array = as_labels(labels)
    if tags.shape != asked.shape:
        raise ShapeError(f"labels must be {asked.shape} (images, classes), found {tags.shape}")
    asked &= tags == PRESENT
    return asked


def _answers(
    truths: Sequence[Sequence[TrueBox]],
    asked: NDArray[np.bool_],
    hits: Callable[[int, int, Float32Array], bool],
) -> Float64Array:
    """Ask `hits(image, class, true boxes)` wherever `asked`; (M, K), NaN elsewhere."""
    result = np.full(asked.shape, np.nan)
    for image, k in np.argwhere(asked):
        target = _boxes([box for box in truths[image] if box.label == k])
        result[image, k] = hits(int(image), int(k), target)
    return result


def _boxes(boxes: Sequence[TrueBox]) -> Float32Array:
    return np.array([box.xyxy for box in boxes], np.float32).reshape(-1, 4)


def _row(
    values: Sequence[ArrayLike], image: int, k: int, shape: tuple[int, int], name: str
) -> Float32Array:
    """Row k of one image's array."""
    array = np.asarray(values[image], np.float32)
    if array.shape != shape:
        raise ShapeError(f"{name}[{image}] must have shape {shape}, found {array.shape}")
    row: Float32Array = array[k]
    return row


def _check_overlap(iou: float) -> None:
    if not 0 < iou <= 1:
        raise ConfigError(f"iou must be above 0 and at most 1, found {iou}")


def _check_images(truths: Sequence[object], found: Sequence[object], name: str) -> None:
    if len(found) != len(truths):
        raise ShapeError(f"{name} has {len(found)} images, truths has {len(truths)}")


def _check_label(label: int, image: int, num_classes: int) -> None:
    if not 0 <= label < num_classes:
        raise ShapeError(
            f"image {image} has a box of class {label}, expected 0 to {num_classes - 1}"
        )


def _check_detections(
    found: Detections, true: Sequence[TrueBox], image: int, num_classes: int
) -> None:
    """Check one image's shapes, class indices and scores."""
    D = len(found.scores)
    if found.boxes.shape != (D, 4) or found.labels.shape != (D,):
        raise ShapeError(
            f"detections of image {image} must be boxes (D, 4), scores (D,) and labels (D,), found "
            f"{found.boxes.shape}, {found.scores.shape} and {found.labels.shape}"
        )
    if not np.isfinite(found.scores).all():
        row = int(np.argmin(np.isfinite(found.scores)))
        raise NumericsError(
            f"detection scores must be finite, found {found.scores[row]} "
            f"at image {image}, box {row}"
        )
    for label in {*found.labels.tolist(), *(box.label for box in true)}:
        _check_label(label, image, num_classes)
