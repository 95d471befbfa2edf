"""Precision, recall and F1 of thresholded and of top-k labels, in every variant the field prints.

Two different numbers are called "class F1": the mean of the F1 of each class (SRN and the paper,
`F1Report.f1_c`) and the F1 of mean precision and mean recall (CNN-RNN, ML-GCN, ASL,
`F1Report.cf1`, the larger one as a rule).
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from boxless.errors import ConfigError, NumericsError, ShapeError
from boxless.metrics.inputs import check_pair
from boxless.types import PRESENT, UNKNOWN, Float64Array, Int8Array

EmptyPrecision = Literal["zero", "one"]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class F1Report:
    """Precision, recall and F1; all in [0, 1].

    Classes without a positive image are left out of `cp`, `cr`, `f1_c` and `cf1` (the convention
    "classes with positives"); the overall values `op`, `or_` and `of1` count every known entry,
    false positives of those classes included.

    Attributes:
        cp: Mean precision of the classes.
        cr: Mean recall of the classes.
        f1_c: Mean of the F1 of each class (the paper's F1-C).
        cf1: ``2 cp cr / (cp + cr)`` (ML-GCN style).
        op: Precision over all entries.
        or_: Recall over all entries.
        of1: ``2 op or / (op + or)`` (the paper's F1-O).
        precision: (K,) precision of each class; NaN for excluded classes.
        recall: (K,) recall of each class; NaN for excluded classes.
        f1: (K,) F1 of each class; NaN for excluded classes.
        excluded: Indices of the classes without a positive image.
    """

    cp: float
    cr: float
    f1_c: float
    cf1: float
    op: float
    or_: float
    of1: float
    precision: Float64Array
    recall: Float64Array
    f1: Float64Array
    excluded: tuple[int, ...]


def f1_report(
    probabilities: ArrayLike,
    labels: ArrayLike,
    *,
    threshold: float | ArrayLike = 0.5,
    top_k: int | None = None,
    forced: bool = False,
    precision_of_empty: EmptyPrecision = "zero",
) -> F1Report:
    """Compare predicted labels with the true ones.

    * at a threshold (``top_k=None``): labels with ``p > threshold``, strictly above as in SRN's
      ``evaluate.m``;
    * ``top_k=3``: those that are among the image's three most probable classes as well (the
      paper's "top-3", method of CNN-RNN on COCO);
    * ``top_k=3, forced=True``: exactly the three most probable, whatever their value.

    Equal probabilities at the edge of the top k go to the lower class index. Labels are predicted
    before the truth is looked at: an entry of -1 may take a place in the top k, but is counted
    neither as right nor as wrong.

    A class that is never predicted has precision 0/0. ``"zero"`` counts it as 0 (scikit-learn,
    ML-GCN and the tables of CP and CF1 since); ``"one"`` as 1, which SRN's
    ``precision_recall_f1.m`` does by adding epsilon to both sides. F1-C and F1-O, which the
    paper's tables hold, are the same under both.

    Args:
        probabilities: (M, K) values in [0, 1].
        labels: (M, K) values of {1, 0, -1}.
        threshold: One number, or (K,) one per class.
        top_k: Keep at most this many labels per image.
        forced: Predict exactly `top_k` labels, ignoring `threshold`.
        precision_of_empty: Precision of a class that is never predicted.

    Returns:
        All values; NaN where no class has a positive image.

    Raises:
        ShapeError: If shapes do not fit.
        NumericsError: If a probability is not in [0, 1].
        ConfigError: If `top_k`, `forced` or `precision_of_empty` make no sense.

    Example:
        >>> from boxless.metrics import f1_report
        >>> report = f1_report([[0.9, 0.2], [0.6, 0.8]], [[1, 0], [0, 1]])
        >>> report.op, report.or_, report.of1  # one of three predicted labels is wrong
        (0.6666666666666666, 1.0, 0.8)
    """
    values, tags = check_pair(probabilities, labels)
    check_probabilities(values)
    _check_choices(top_k, forced, precision_of_empty)
    predicted = predicted_labels(values, threshold=threshold, top_k=top_k, forced=forced)
    return _compare(predicted, tags, 1.0 if precision_of_empty == "one" else 0.0)


def predicted_labels(
    probabilities: NDArray[np.floating[Any]],
    *,
    threshold: float | ArrayLike = 0.5,
    top_k: int | None = None,
    forced: bool = False,
) -> BoolArray:
    """Labels (M, K) that a threshold, a top k or both select; see `f1_report`.

    Raises:
        ShapeError: If `threshold` is neither one number nor one per class.
    """
    limits = np.asarray(threshold, np.float64)
    K = probabilities.shape[1]
    if limits.shape not in ((), (K,)):
        raise ShapeError(
            f"threshold must be one number or one for each of {K} classes, found {limits.shape}"
        )
    above = probabilities > limits
    if top_k is None:
        return above
    best = top_k_mask(probabilities, top_k)
    return best if forced else best & above


def top_k_mask(scores: NDArray[np.floating[Any]], k: int) -> BoolArray:
    """Mark the k highest scores of each row, all if there are fewer; the lower column wins ties."""
    M, K = scores.shape
    if k >= K:
        return np.ones((M, K), np.bool_)
    edge = np.partition(scores, K - k, axis=1)[:, K - k, None]
    above, level = scores > edge, scores == edge
    room = k - above.sum(axis=1, keepdims=True)
    mask: BoolArray = above | (level & (np.cumsum(level, axis=1) <= room))
    return mask


def _compare(predicted: BoolArray, labels: Int8Array, empty: float) -> F1Report:
    """Count and divide."""
    truth = labels == PRESENT
    true_positives = (predicted & truth).sum(axis=0)
    chosen = (predicted & (labels != UNKNOWN)).sum(axis=0)
    present = truth.sum(axis=0)
    kept = present > 0

    precision = _ratio(true_positives, chosen, empty)
    recall = _ratio(true_positives, present, np.nan)
    f1 = 2 * true_positives / np.maximum(chosen + present, 1)
    precision[~kept], f1[~kept] = np.nan, np.nan
    cp, cr, f1_c = (_mean(values[kept]) for values in (precision, recall, f1))
    op = float(_ratio(true_positives.sum(), chosen.sum(), empty))
    or_ = float(_ratio(true_positives.sum(), present.sum(), np.nan))
    return F1Report(
        cp=cp,
        cr=cr,
        f1_c=f1_c,
        cf1=_harmonic(cp, cr),
        op=op,
        or_=or_,
        of1=_harmonic(op, or_),
        precision=precision,
        recall=recall,
        f1=f1,
        excluded=tuple(int(k) for k in np.flatnonzero(~kept)),
    )


def _ratio(part: NDArray[Any], whole: NDArray[Any], empty: float) -> Float64Array:
    """Divide, with a value of its own for 0/0."""
    result = np.full(np.shape(part), empty)
    np.divide(part, whole, out=result, where=np.asarray(whole) > 0)
    return result


def _mean(values: Float64Array) -> float:
    return float(values.mean()) if values.size else float("nan")


def _harmonic(first: float, second: float) -> float:
    """Harmonic mean; 0 if both are 0."""
    total = first + second
    return 2 * first * second / total if total != 0 else 0.0


def check_probabilities(values: NDArray[np.floating[Any]]) -> None:
    """Refuse finite values (M, K) outside [0, 1] with a `NumericsError` that names the first."""
    if values.size and (values.min() < 0 or values.max() > 1):
        row, column = np.argwhere((values < 0) | (values > 1))[0]
        raise NumericsError(
            f"probabilities must be in [0, 1], found {values[row, column]} "
            f"at image row {row}, class {column}",
            hint="these look like logits; apply a sigmoid first",
        )


def _check_choices(top_k: int | None, forced: bool, precision_of_empty: str) -> None:
    if top_k is not None and top_k < 1:
        raise ConfigError(f"top_k must be at least 1, found {top_k}")
    if forced and top_k is None:
        raise ConfigError("forced=True needs top_k", hint="pass top_k=3 for forced top-3")
    if precision_of_empty not in ("zero", "one"):
        raise ConfigError(f"precision_of_empty must be 'zero' or 'one', found {precision_of_empty}")
