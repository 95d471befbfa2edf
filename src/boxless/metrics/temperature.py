"""Temperatures: one number per class that makes probabilities as certain as they are right.

``sigmoid(z / T)`` with T > 0 keeps the order of a class's images and so its average precision.
Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017 (one temperature); one a
class is the multi-label form of it, since every class has a sigmoid of its own.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from boxless.metrics.inputs import check_pair, logit, sigmoid
from boxless.types import PRESENT, UNKNOWN, Float64Array, Int8Array

LOWEST, HIGHEST = 0.05, 20.0
"""Temperatures are kept in between: a class that is separated without a fault asks for 0."""

STRENGTHS: tuple[float, ...] = (0.0, 1.0, 3.0, 10.0, 30.0, 100.0, float("inf"))
"""Candidates of `fit_temperatures`' strength, for a choice by cross-validation."""

_HALVINGS = 26  # of a range whose ends are 400 apart: seven digits


def negative_log_likelihood(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Mean cross-entropy in nats over all known pairs of image and class; NaN without any.

    Args:
        probabilities: (M, K) values in [0, 1].
        labels: (M, K) values of {1, 0, -1}; -1 is left out.

    Raises:
        ShapeError: If shapes do not fit.
    """
    values, tags = check_pair(probabilities, labels)
    known = tags != UNKNOWN
    if not known.any():
        return float("nan")
    z = logit(values[known])
    return float((np.logaddexp(0, z) - z * (tags[known] == PRESENT)).mean())


def apply_temperatures(probabilities: ArrayLike, temperatures: ArrayLike) -> Float64Array:
    """``sigmoid(logit(p) / T)`` of (M, K) probabilities, with one T or (K,) of them."""
    return sigmoid(logit(probabilities) / np.asarray(temperatures, np.float64))


def shared_temperature(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """The one temperature in [0.05, 20] for all classes with the least negative log-likelihood."""
    values, tags = check_pair(probabilities, labels)
    column = logit(values).reshape(-1, 1)
    flat = tags.reshape(-1, 1)
    return float(1 / _sharpness(column, flat, strengths=(0.0,), centre=1.0)[0, 0])


def fit_temperatures(
    probabilities: ArrayLike, labels: ArrayLike, *, strength: float
) -> Float64Array:
    """Temperatures (K,) in [0.05, 20], drawn towards the shared one.

    Minimises over the sharpness ``a = 1 / T`` of each class, with A that of the shared temperature,

        sum of cross-entropies + strength / 2 * (a / A - 1)^2

    which is convex, so that the minimum is the only one. A class with few or no positive images has
    little to set against the second term and stays near the shared temperature.

    Args:
        probabilities: (M, K) values in [0, 1].
        labels: (M, K) values of {1, 0, -1}; -1 is left out.
        strength: >= 0; infinite = the shared temperature for all.

    Raises:
        ShapeError: If shapes do not fit.
    """
    values, tags = check_pair(probabilities, labels)
    shared = shared_temperature(values, tags)
    if not np.isfinite(strength):
        return np.full(values.shape[1], shared)
    found = _sharpness(logit(values), tags, strengths=(strength,), centre=1 / shared)
    return np.asarray(1 / found[0], np.float64)


def _sharpness(
    logits: Float64Array, labels: Int8Array, *, strengths: tuple[float, ...], centre: float
) -> Float64Array:
    """(strengths, K) roots of the derivative in a, by halving: it only rises."""
    known, truth = labels != UNKNOWN, labels == PRESENT
    pull = np.array(strengths)[:, None]
    low = np.full((len(strengths), logits.shape[1]), 1 / HIGHEST)
    high = np.full_like(low, 1 / LOWEST)
    weights = known * logits
    for _ in range(_HALVINGS):
        middle = np.sqrt(low * high)
        # the difference first: two sums of large numbers would leave nothing of a small slope
        slope = (weights * (sigmoid(middle[:, None] * logits) - truth)).sum(axis=1)
        slope += pull * (middle / centre - 1) / centre
        low, high = np.where(slope < 0, middle, low), np.where(slope < 0, high, middle)
    return np.asarray(np.sqrt(low * high), np.float64)


def choose_strength(
    probabilities: ArrayLike,
    labels: ArrayLike,
    folds: NDArray[np.integer],
    *,
    strengths: tuple[float, ...] = STRENGTHS,
) -> float:
    """The strength with the least negative log-likelihood on images it was not fitted on.

    Args:
        probabilities: (M, K) values in [0, 1].
        labels: (M, K) values of {1, 0, -1}.
        folds: (repetitions, M) fold of every image.
        strengths: Candidates; of equally good ones the greatest is taken.
    """
    values, tags = check_pair(probabilities, labels)
    finite = tuple(strength for strength in strengths if np.isfinite(strength))
    ordered = [*finite, *(strength for strength in strengths if not np.isfinite(strength))]
    losses = np.zeros(len(strengths))
    for repetition in folds:
        for fold in np.unique(repetition):
            inside = repetition == fold
            fitted = values[~inside], tags[~inside]
            shared = shared_temperature(*fitted)
            found = 1 / _sharpness(logit(fitted[0]), fitted[1], strengths=finite, centre=1 / shared)
            together = np.full((len(strengths) - len(finite), values.shape[1]), shared)
            for place, temperatures in enumerate(np.concatenate([found, together])):
                calibrated = apply_temperatures(values[inside], temperatures)
                loss = negative_log_likelihood(calibrated, tags[inside])
                losses[place] += (tags[inside] != UNKNOWN).sum() * np.nan_to_num(loss)
    best = np.flatnonzero(losses <= losses.min() + 1e-12)
    return max(ordered[place] for place in best)
