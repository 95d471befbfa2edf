"""Thresholds that make the most of F1, each class its own but no further than its images carry.

The best cut of a class is found exactly, over all cuts that tell images apart. With a handful of
positive images that cut is mostly chance, so it is drawn towards one threshold for all classes,
in logits: ``w * own + (1 - w) * common`` with ``w = n / (n + strength)`` and n the class's positive
images. At strength 0 every class keeps its own cut, at infinity all share the common one.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from boxless.metrics.f1 import f1_report
from boxless.metrics.inputs import check_pair, logit, sigmoid
from boxless.types import PRESENT, UNKNOWN, Float64Array, Int8Array

STRENGTHS: tuple[float, ...] = (0.0, 3.0, 10.0, 30.0, 100.0, 300.0, float("inf"))
"""Candidates of `shrunk_thresholds`' strength, for a choice by cross-validation."""

_SAME = 1e-12  # F1 values nearer than this are one value that rounding took apart


def own_thresholds(
    probabilities: ArrayLike, labels: ArrayLike, *, near: float | ArrayLike = 0.5
) -> Float64Array:
    """Thresholds (K,) in (0, 1) that maximise the F1 of each class, exactly.

    Every cut between two different probabilities of the class is tried, and the one below all. The
    threshold lies in the middle between the two probabilities (0 stands below the last), so that
    rounding cannot move an image across; a probability of 0 is never predicted. Of several best
    cuts the one nearest to `near` is taken, distances measured in logits.

    Args:
        probabilities: (M, K) values in [0, 1].
        labels: (M, K) values of {1, 0, -1}; -1 is left out.
        near: One number or (K,): decides ties; also the threshold of a class without positives.

    Raises:
        ShapeError: If shapes do not fit.
    """
    values, tags = check_pair(probabilities, labels)
    wanted = np.broadcast_to(np.asarray(near, np.float64), (values.shape[1],))
    result = wanted.copy()
    for k in np.flatnonzero((tags == PRESENT).any(axis=0)):
        known = tags[:, k] != UNKNOWN
        cuts, f1 = _all_cuts(values[known, k].astype(np.float64), tags[known, k] == PRESENT)
        if cuts.size:
            best = cuts[f1 >= f1.max() - _SAME]
            result[k] = best[np.abs(logit(best) - logit(wanted[k])).argmin()]
    return result


def _all_cuts(values: Float64Array, truth: NDArray[np.bool_]) -> tuple[Float64Array, Float64Array]:
    """All thresholds that tell a class's images apart, falling, and their F1."""
    order = np.argsort(-values, kind="stable")
    falling, hits = values[order], np.cumsum(truth[order])
    last = np.flatnonzero(np.append(falling[1:] != falling[:-1], True))  # of equal probabilities
    f1 = 2 * hits[last] / (last + 1 + hits[-1])
    cuts = (falling[last] + np.append(falling[last[:-1] + 1], 0.0)) / 2
    return cuts[cuts > 0], f1[cuts > 0]


def common_threshold(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """The one threshold for all classes that maximises the mean of their F1 (F1-C), exactly.

    Of several best ones the nearest to 0.5; 0.5 without any positive. Raises as `own_thresholds`.
    """
    values, tags = check_pair(probabilities, labels)
    kept = np.flatnonzero((tags == PRESENT).any(axis=0))
    if not kept.size:
        return 0.5
    found = values[:, kept][tags[:, kept] != UNKNOWN].astype(np.float64)
    ends = np.unique(np.append(found, 0.0))
    cuts = (ends[1:] + ends[:-1]) / 2
    if not cuts.size:
        return 0.5
    total = np.zeros(len(cuts))
    for k in kept:
        known = tags[:, k] != UNKNOWN
        rising = np.sort(values[known, k].astype(np.float64))
        positives = np.sort(values[tags[:, k] == PRESENT, k].astype(np.float64))
        chosen = len(rising) - np.searchsorted(rising, cuts, side="right")
        hits = len(positives) - np.searchsorted(positives, cuts, side="right")
        total += 2 * hits / (chosen + len(positives))
    best = cuts[total >= total.max() - _SAME * len(kept)]
    return float(best[np.abs(logit(best)).argmin()])


def shrunk_thresholds(
    probabilities: ArrayLike, labels: ArrayLike, *, strength: float
) -> Float64Array:
    """`own_thresholds`, drawn towards `common_threshold` where positives are few.

    Args:
        probabilities: (M, K) values in [0, 1].
        labels: (M, K) values of {1, 0, -1}.
        strength: Positive images at which own and common threshold count alike; may be infinite.

    Raises:
        ShapeError: If shapes do not fit.
    """
    _, tags = check_pair(probabilities, labels)
    common = common_threshold(probabilities, labels)
    own = own_thresholds(probabilities, labels, near=common)
    return blend(own, common, tags, strength)


def blend(own: Float64Array, common: float, labels: Int8Array, strength: float) -> Float64Array:
    """Thresholds (K,) between `own` and `common`, in logits; see `shrunk_thresholds`."""
    positives = (labels == PRESENT).sum(axis=0)
    weight = np.zeros(len(own))
    if np.isfinite(strength):
        weight = positives / np.maximum(positives + strength, 1)
    return sigmoid(weight * logit(own) + (1 - weight) * logit(common))


def choose_strength(
    probabilities: ArrayLike,
    labels: ArrayLike,
    folds: NDArray[np.integer],
    *,
    strengths: tuple[float, ...] = STRENGTHS,
) -> float:
    """The strength whose thresholds serve images best that they were not fitted on.

    For each repetition and fold, thresholds are fitted on the other folds; the labels they predict
    for the fold are put together with those of all other folds, and F1-C is computed once over all
    images (a fold alone has too few positives). Repetitions are averaged.

    Args:
        probabilities: (M, K) values in [0, 1].
        labels: (M, K) values of {1, 0, -1}.
        folds: (repetitions, M) fold of every image.
        strengths: Candidates.

    Returns:
        The best candidate; of equal ones, and where no class has a positive image, the greatest,
        which has the fewest free numbers.
    """
    values, tags = check_pair(probabilities, labels)
    scores = np.zeros(len(strengths))
    for repetition in folds:
        margins = np.zeros((len(strengths), *values.shape))
        for fold in np.unique(repetition):
            inside = repetition == fold
            common = common_threshold(values[~inside], tags[~inside])
            own = own_thresholds(values[~inside], tags[~inside], near=common)
            for place, strength in enumerate(strengths):
                limits = blend(own, common, tags[~inside], strength)
                margins[place, inside] = values[inside] > limits
        scores += [f1_report(chosen, tags).f1_c for chosen in margins]
    if np.isnan(scores).any():
        return max(strengths)
    best = np.flatnonzero(scores >= scores.max() - _SAME * len(folds))
    return max(strengths[place] for place in best)
