"""Paired bootstrap of yes-or-no answers: CorLoc and the pointing game of two models.

The same as `boxless.metrics.bootstrap.paired_bootstrap`, for means over classes of the share of yes
instead of mAP.
"""

import numpy as np
from numpy.typing import NDArray

from boxless.errors import DataError, ShapeError
from boxless.metrics.bootstrap import Interval, drawn_counts, percentiles
from boxless.types import Float64Array


def paired_answer_bootstrap(
    first: Float64Array,
    second: Float64Array,
    *,
    draws: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Interval of share(first) - share(second), images and seeds drawn with replacement.

    Args:
        first: (S, M, K) answers of the first model: 1 yes, 0 no, NaN not asked.
        second: Those of the second, asked at the same places.
        draws: Number of resamplings.
        level: Share of the draws inside the interval, in (0, 1).
        seed: Seed of the random numbers.

    Returns:
        The interval of the mean over seeds of the mean over classes of the share of yes; classes
        that nobody asks for in a draw are left out of it.

    Raises:
        ShapeError: If shapes, or the places that are asked, differ.
        DataError: If nothing is asked.
    """
    asked = _checked(first, second)
    S, M, _ = first.shape
    difference = np.nan_to_num(first - second)
    generator = np.random.default_rng(seed)
    counts = drawn_counts(generator, draws, M).astype(np.float64)
    values = _means(difference, asked, counts)
    weights = np.ones((draws, S))
    if S > 1:
        weights = drawn_counts(np.random.default_rng([seed, 1]), draws, S).astype(np.float64)
    observed = float(_means(difference, asked, np.ones((1, M))).mean())
    return percentiles(observed, (values * weights).sum(axis=1) / S, level)


def _means(
    difference: Float64Array, asked: NDArray[np.bool_], counts: Float64Array
) -> Float64Array:
    """(draws, S) mean over classes of the weighted mean difference over images."""
    total = counts @ asked
    found = total > 0
    columns = []
    for of_seed in difference:
        share = np.divide(counts @ of_seed, total, out=np.zeros_like(total), where=found)
        sums, classes = share.sum(axis=1), found.sum(axis=1)
        empty = np.full(len(sums), np.nan)
        columns.append(np.divide(sums, classes, out=empty, where=classes > 0))
    return np.stack(columns, axis=1)


def _checked(first: Float64Array, second: Float64Array) -> NDArray[np.bool_]:
    """(M, K) places that are asked."""
    if first.ndim != 3 or first.shape != second.shape:
        raise ShapeError(
            "answers must be (seeds, images, classes) of one shape, "
            f"found {first.shape} and {second.shape}"
        )
    asked = ~np.isnan(first[0])
    if any((np.isnan(answers) == asked).any() for answers in (*first, *second)):
        raise ShapeError("both models and all seeds must be asked at the same places")
    if not asked.any():
        raise DataError("nothing is asked, so there is no share to compare")
    return np.asarray(asked, np.bool_)
