"""Average precision of image-level scores.

The three definitions found in the literature give different numbers on the same scores, so each
has a name here. Tied scores are one threshold: the order of equal scores (half precision makes
thousands of them) never changes a value.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from boxless.errors import ConfigError, unknown_name
from boxless.files.launched import available_cores
from boxless.metrics.inputs import check_classes, check_pair
from boxless.types import PRESENT, UNKNOWN, Float64Array, Int8Array

Method = Literal["envelope", "non_interpolated", "eleven_point"]

_ROWS_AT_ONCE = 512  # transposing in pieces that stay in the cache is three times as fast
_CLASSES_AT_ONCE = 16  # a cache line of single precision
_WORTH_THREADS = 1 << 18  # scores; fewer are sorted before a thread has started


@dataclass(frozen=True, slots=True)
class MeanAP:
    """Mean average precision and what went into it.

    Attributes:
        value: Mean over the classes that have a positive image, in [0, 1]; NaN if none has.
        per_class: (K,) average precision; NaN for excluded classes.
        excluded: Names of the classes without a positive image, left out of the mean.
    """

    value: float
    per_class: Float64Array
    excluded: tuple[str, ...]


def average_precision(
    scores: ArrayLike, labels: ArrayLike, *, method: Method = "envelope"
) -> Float64Array:
    """Average precision of each class.

    With thresholds t at the scores of the positives, ``precision(t) = TP(t) / (TP(t) + FP(t))``
    over all images scoring at least t:

    * ``"envelope"``: area under the curve after making precision fall monotonically with recall
      (VOC 2010 and later, SRN's ``AP_VOC.m``; the paper's definition).
    * ``"non_interpolated"``: mean of the raw precision at the positives; what scikit-learn's
      ``average_precision_score`` and torchmetrics compute.
    * ``"eleven_point"``: mean over recalls 0, 0.1, … 1 of the best precision at that recall or
      above (VOC 2007). Recalls are compared as exact fractions.

    Sorting is done once a class, on values alone; only positives are looked up in the result. Large
    matrices are shared out among threads, a few classes each.

    Args:
        scores: (M, K) scores; higher means more certain.
        labels: (M, K) values of {1, 0, -1}; an entry of -1 is left out of its class.
        method: Definition of the area.

    Returns:
        (K,) values in [0, 1]; NaN for a class without positives.

    Raises:
        ShapeError: If the shapes differ or are not two-dimensional.
        NumericsError: If a score is NaN or infinite; names row and class.
        DataError: If a label is not 1, 0 or -1.

    Example:
        >>> from boxless.metrics import average_precision
        >>> labels = [[0, 0], [1, 1], [1, -1]]
        >>> average_precision([[0.9, 0.1], [0.8, 0.7], [0.3, 0.2]], labels).round(3)
        array([0.667, 1.   ])
    """
    check_method(method)
    checked, tags = check_pair(scores, labels)

    def some(first: int) -> Float64Array:
        chosen = slice(first, first + _CLASSES_AT_ONCE)
        return _of_classes(checked[:, chosen], tags[:, chosen], method)

    starts = range(0, checked.shape[1], _CLASSES_AT_ONCE)
    if checked.size < _WORTH_THREADS:
        return np.concatenate([np.empty(0), *map(some, starts)])
    with ThreadPoolExecutor(available_cores()) as pool:
        return np.concatenate(list(pool.map(some, starts)))


def mean_average_precision(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    classes: Sequence[str],
    method: Method = "envelope",
) -> MeanAP:
    """Mean of `average_precision` over the classes that occur.

    Args:
        scores: (M, K) scores.
        labels: (M, K) values of {1, 0, -1}.
        classes: K names.
        method: See `average_precision`.

    Returns:
        Mean, values per class, and the names of the classes left out.

    Raises:
        ShapeError: If the shapes differ or there is not one name per class.
        NumericsError: If a score is NaN or infinite.

    Example:
        >>> from boxless.metrics import mean_average_precision
        >>> found = mean_average_precision([[0.9, 0.1], [0.3, 0.2]], [[1, 0], [0, 0]], classes="ab")
        >>> found.value, found.excluded  # no image has b
        (1.0, ('b',))
    """
    per_class = average_precision(scores, labels, method=method)
    names = check_classes(classes, len(per_class))
    absent = np.isnan(per_class)
    value = float(per_class[~absent].mean()) if not absent.all() else float("nan")
    excluded = tuple(name for name, out in zip(names, absent, strict=True) if out)
    return MeanAP(value, per_class, excluded)


def check_method(method: str) -> None:
    """Refuse an unknown definition with a `ConfigError` that lists the known ones."""
    if method not in get_args(Method):
        raise ConfigError(unknown_name("average precision method", method, get_args(Method)))


def _of_classes(
    scores: NDArray[np.floating[Any]], labels: Int8Array, method: Method
) -> Float64Array:
    """`average_precision` of a few classes, side by side in memory."""
    columns, tags = _transposed(scores), _transposed(labels)
    columns[tags == UNKNOWN] = -np.inf  # below every threshold: no count sees them
    positives = [
        row[np.flatnonzero(hit)] for row, hit in zip(columns, tags == PRESENT, strict=True)
    ]
    columns.sort(axis=1)
    result = np.full(len(columns), np.nan)
    for k, (row, found) in enumerate(zip(columns, positives, strict=True)):
        if found.size:
            found.sort()
            at_least = len(row) - np.searchsorted(row, found)
            result[k] = _area(_true_positives(found), at_least, method)
    return result


def _transposed(matrix: NDArray[Any]) -> NDArray[Any]:
    """Copy (M, K) to (K, M)."""
    columns = np.empty(matrix.shape[::-1], matrix.dtype)
    for start in range(0, len(matrix), _ROWS_AT_ONCE):
        columns[:, start : start + _ROWS_AT_ONCE] = matrix[start : start + _ROWS_AT_ONCE].T
    return columns


def _true_positives(found: NDArray[np.floating[Any]]) -> NDArray[np.intp]:
    """Positives scoring at least as much as each of the (ascending) positives."""
    if (found[1:] > found[:-1]).all():  # no ties
        return np.arange(len(found), 0, -1)
    return len(found) - np.searchsorted(found, found)


def _area(hits: NDArray[np.intp], at_least: NDArray[np.intp], method: Method) -> float:
    """Area from the counts at each positive, lowest score (highest recall) first."""
    precision = hits / at_least
    if method == "non_interpolated":
        return float(precision.mean())
    envelope = np.maximum.accumulate(precision)
    if method == "envelope":
        return float(envelope.mean())
    P = len(hits)
    tenths = np.arange(11)
    # hits fall along the array: the last entry with hits / P >= tenth / 10
    reached = np.searchsorted(-10 * hits, -tenths * P, side="right") - 1
    return float(envelope[reached].mean())
