"""Paired bootstrap: how sure is a difference in mAP between two models?

Both models are scored on the same resampled images, so what images have in common cancels out and
the interval speaks of the difference alone.

Method: Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 1979
(percentile interval, paired by image).
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from boxless.errors import ConfigError, DataError, ShapeError
from boxless.files.launched import available_cores
from boxless.metrics.average_precision import Method, check_method
from boxless.metrics.inputs import as_labels, as_scores, check_finite
from boxless.types import PRESENT, UNKNOWN, Float64Array, Int8Array

Index = NDArray[np.intp]
Counts = NDArray[np.int32]

_ELEMENTS_AT_ONCE = 1 << 16  # draws x images handled together: stays in the second-level cache


@dataclass(frozen=True, slots=True)
class Interval:
    """A difference and its percentile interval.

    Attributes:
        mean: Difference a - b on the full set (mean over the seeds), in [-1, 1].
        low: Lower end of the interval.
        high: Upper end of the interval.
        level: Share of the draws inside the interval, such as 0.95.
        draws: Draws that went into it (those in which some class had a positive image).
        probability_positive: Share of the draws with a better than b, ties counting half.
    """

    mean: float
    low: float
    high: float
    level: float
    draws: int
    probability_positive: float


def paired_bootstrap(
    scores_a: ArrayLike,
    scores_b: ArrayLike,
    labels: ArrayLike,
    *,
    draws: int = 2000,
    level: float = 0.95,
    seed: int = 0,
    method: Method = "envelope",
    resample_seeds: bool | None = None,
) -> Interval:
    """Interval of mAP(a) - mAP(b) under resampling of the images.

    Each draw takes M images with replacement, the same for both models and all seeds. With S
    training seeds, seed s of a is compared with seed s of b and the differences are averaged; the
    seeds are drawn with replacement too, so that the interval covers what another training run
    would change (switch off with `resample_seeds`). Classes without a positive image in a draw are
    left out of that draw's means, for both models alike.

    Args:
        scores_a: (M, K) or (S, M, K) scores of the first model.
        scores_b: Scores of the second model, same shape.
        labels: (M, K) values of {1, 0, -1}.
        draws: Number of resamplings.
        level: Share of the draws inside the interval, in (0, 1).
        seed: Seed of the random numbers; same seed, same interval.
        method: Definition of average precision.
        resample_seeds: Draw the seeds as well; default: if there is more than one.

    Returns:
        The interval.

    Raises:
        ShapeError: If shapes do not fit.
        NumericsError: If a score is NaN or infinite.
        DataError: If no draw has a positive image.
        ConfigError: If `draws`, `level` or `method` make no sense.

    Example:
        >>> import numpy as np
        >>> from boxless.metrics import paired_bootstrap
        >>> labels = np.eye(4, dtype=int).repeat(10, 0)  # 40 images of 4 classes
        >>> noise = np.random.default_rng(0).random(labels.shape)
        >>> gain = paired_bootstrap(labels + noise, noise, labels, draws=200)
        >>> gain.low > 0  # the first model is better
        True
    """
    _check_choices(draws, level, method)
    first, second, tags = _check_arrays(scores_a, scores_b, labels)
    S = first.shape[0]
    a, b = (_resampled(scores, tags, draws, seed, method) for scores in (first, second))
    observed, drawn = float((a - b)[0].mean()), (a - b)[1:]
    weights = np.ones((draws, S))
    if resample_seeds if resample_seeds is not None else S > 1:
        # a generator of its own: the images drawn do not depend on this choice
        weights = drawn_counts(np.random.default_rng([seed, 1]), draws, S).astype(np.float64)
    return percentiles(observed, (drawn * weights).sum(axis=1) / S, level)


def resampled_map(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    draws: int = 2000,
) -> Float64Array:
    """MAP of each training run under resampling of the images, for intervals of other figures.

    Calls with equal labels and `draws` draw the same images, so their values are paired.

    Args:
        scores: (M, K) or (S, M, K) scores of S runs.
        labels: (M, K) values of {1, 0, -1}.
        draws: Number of resamplings.

    Returns:
        (1 + draws, S) values: all images, then each draw; NaN where no class has a positive.

    Raises:
        ShapeError: If shapes do not fit.
        NumericsError: If a score is NaN or infinite.
        ConfigError: If `draws` is below 1.
    """
    _check_choices(draws, 0.95, "envelope")
    checked, _, tags = _check_arrays(scores, scores, labels)
    return _resampled(checked, tags, draws, seed=0, method="envelope")


def _resampled(
    scores: NDArray[np.floating[Any]], tags: Int8Array, draws: int, seed: int, method: Method
) -> Float64Array:
    """See `resampled_map`; nothing is checked."""
    rankings = [_rank(one, tags) for one in scores]
    every = np.ones((1, len(tags)), np.int32)
    blocks = chain([every], _resamples(np.random.default_rng(seed), draws, len(tags)))

    def values(counts: Counts) -> Float64Array:
        return np.stack([_mean_ap(ranking, counts, method) for ranking in rankings], axis=1)

    found: list[Float64Array] = []
    with ThreadPoolExecutor(threads := available_cores()) as pool:
        while some := list(islice(blocks, threads)):  # never all: they take draws x images x 4 B
            found.extend(pool.map(values, some))
    return np.concatenate(found)


def percentiles(observed: float, differences: Float64Array, level: float) -> Interval:
    """The interval of (draws,) differences; NaN where nothing could be compared."""
    values = differences[~np.isnan(differences)]
    if not values.size:
        raise DataError(
            "no class has a positive image, so there is no average precision to compare"
        )
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    positive = float((values > 0).mean() + 0.5 * (values == 0).mean())
    return Interval(observed, float(low), float(high), level, len(values), positive)


def drawn_counts(generator: np.random.Generator, draws: int, images: int) -> Counts:
    """How often each image (or seed) is drawn: (draws, images), rows adding up to `images`."""
    picks = generator.integers(0, images, (draws, images))
    counts = np.empty((draws, images), np.int32)
    for row, pick in enumerate(picks):
        counts[row] = np.bincount(pick, minlength=images)
    return counts


@dataclass(frozen=True, slots=True)
class _Ranking:
    """One class of one score matrix, sorted once for all draws.

    Attributes:
        order: Images with a known label, best score first.
        ends: (P,) for each positive the position in `order` of the last image tied with it.
        positives: (P,) images with the class, best score first.
        last: (P,) for each positive the position in `positives` of the last one tied with it.
    """

    order: Index
    ends: Index
    positives: Index
    last: Index


def _rank(scores: NDArray[np.floating[Any]], labels: Int8Array) -> list[_Ranking]:
    """Sort each class that has a positive; the others have no average precision in any draw."""
    rankings = []
    for k in range(labels.shape[1]):
        tags = labels[:, k]
        if not (tags == PRESENT).any():
            continue
        known = np.flatnonzero(tags != UNKNOWN)
        falling = -scores[known, k]
        by_score = np.argsort(falling, kind="stable")
        order, falling = known[by_score], falling[by_score]
        hit = tags[order] == PRESENT
        found = falling[hit]
        ends = np.searchsorted(falling, found, side="right") - 1
        last = np.searchsorted(found, found, side="right") - 1
        rankings.append(_Ranking(order, ends, order[hit], last))
    return rankings


def _mean_ap(rankings: list[_Ranking], counts: Counts, method: Method) -> Float64Array:
    """Mean AP of each draw: (draws, M) counts to (draws,) values, NaN without any positive."""
    total = np.zeros(len(counts))
    classes = np.zeros(len(counts))
    for ranking in rankings:
        values = _weighted_ap(ranking, counts, method)
        present = ~np.isnan(values)
        total[present] += values[present]
        classes += present
    result = np.full(len(counts), np.nan)
    np.divide(total, classes, out=result, where=classes > 0)
    return result


def _weighted_ap(ranking: _Ranking, counts: Counts, method: Method) -> Float64Array:
    """Average precision of one class when image i counts `counts[:, i]` times; (draws,).

    A positive that a draw left out keeps its place with weight 0: its precision is not above that
    of the drawn positive before it, which has the same recall, so it never raises the envelope.
    """
    drawn = np.take(counts, ranking.order, axis=1)
    at_least = np.cumsum(drawn, axis=1, out=drawn)[:, ranking.ends]
    weight = np.take(counts, ranking.positives, axis=1)
    running = np.cumsum(weight, axis=1, dtype=weight.dtype)
    present, hits = running[:, -1], running[:, ranking.last]
    precision = hits / np.maximum(at_least, 1)
    if method != "non_interpolated":
        precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    if method == "eleven_point":
        area = np.zeros(len(counts))
        for tenth in range(11):
            reached = (10 * hits < tenth * present[:, None]).sum(axis=1, keepdims=True)
            reached = np.minimum(reached, hits.shape[1] - 1)
            area += np.take_along_axis(precision, reached, axis=1)[:, 0] / 11
    else:
        area = np.einsum("dp,dp->d", weight, precision) / np.maximum(present, 1)
    area[present == 0] = np.nan
    return area


def _resamples(generator: np.random.Generator, draws: int, images: int) -> Iterator[Counts]:
    """Counts of all draws in blocks; how they are cut into blocks changes no number."""
    size = max(1, _ELEMENTS_AT_ONCE // max(images, 1))
    for start in range(0, draws, size):
        yield drawn_counts(generator, min(size, draws - start), images)


def _check_choices(draws: int, level: float, method: str) -> None:
    check_method(method)
    if draws < 1:
        raise ConfigError(f"draws must be at least 1, found {draws}")
    if not 0 < level < 1:
        raise ConfigError(f"level must be between 0 and 1, found {level}")


def _check_arrays(
    scores_a: ArrayLike, scores_b: ArrayLike, labels: ArrayLike
) -> tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]], Int8Array]:
    """Bring both models' scores to (S, M, K) and check them."""
    tags = as_labels(labels)
    models = []
    for name, values in (("scores_a", scores_a), ("scores_b", scores_b)):
        scores = as_scores(values, name=name)
        scores = scores[None] if scores.ndim == 2 else scores
        if scores.ndim != 3 or scores.shape[1:] != tags.shape or not scores.size:
            raise ShapeError(
                f"{name} must be (images, classes) or (seeds, images, classes) like labels "
                f"{tags.shape}, found {np.shape(values)}"
            )
        check_finite(scores, name=name)
        models.append(scores)
    if models[0].shape != models[1].shape:
        raise ShapeError(
            "both models need the same number of seeds, "
            f"found {len(models[0])} and {len(models[1])}: the pairs are seed by seed"
        )
    return models[0], models[1], tags


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
