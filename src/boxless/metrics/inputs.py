"""What metrics share: checks of the two matrices that they take, logits, means of what is known."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from boxless.errors import DataError, NumericsError, ShapeError
from boxless.types import UNKNOWN, Float64Array, Int8Array


def as_array(values: ArrayLike) -> NDArray[Any]:
    """An array, a list or a tensor of PyTorch (of any device and precision) as NumPy's array."""
    tensor: Any = values
    if not hasattr(tensor, "detach"):
        return np.asarray(values)
    tensor = tensor.detach().cpu()
    return np.asarray(tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor)


def as_scores(values: ArrayLike, *, name: str = "scores") -> NDArray[np.floating[Any]]:
    """Scores as float32 (from half or single precision) or float64, their order and ties unchanged.

    Raises:
        ShapeError: If the values are no numbers; calls them `name`.
    """
    array = as_array(values)
    if array.dtype.kind not in "fiub":
        raise ShapeError(f"{name} must be numbers, found an array of {array.dtype}")
    small = array.dtype in (np.dtype(np.float16), np.dtype(np.float32))
    return array.astype(np.float32 if small else np.float64, copy=False)


def as_labels(values: ArrayLike) -> Int8Array:
    """Labels as int8.

    Raises:
        DataError: If a label is not 1, 0 or -1, or of another type than integer or boolean.
    """
    array = as_array(values)
    if array.dtype.kind not in "iub":
        raise DataError(
            f"labels must be integers 1, 0 or -1, found an array of {array.dtype}",
            hint="pass labels.astype('int8'); swapped arguments look like this as well",
        )
    if array.size and (array.min() < UNKNOWN or array.max() > 1):
        odd = np.argwhere((array < UNKNOWN) | (array > 1))[0]
        place = ", ".join(str(int(i)) for i in odd)
        raise DataError(f"labels must be 1, 0 or -1, found {array[tuple(odd)]} at [{place}]")
    return array.astype(np.int8, copy=False)


def check_pair(scores: ArrayLike, labels: ArrayLike) -> tuple[NDArray[np.floating[Any]], Int8Array]:
    """Scores (float32 or float64) and labels (int8), checked: two finite (M, K) matrices.

    Raises:
        ShapeError: If either is no matrix or their shapes differ.
        NumericsError: If a score is NaN or infinite.
        DataError: If a label is not 1, 0 or -1.
    """
    checked, tags = as_scores(scores), as_labels(labels)
    if checked.ndim != 2 or checked.shape != tags.shape:
        raise ShapeError(
            "scores and labels must have the same shape (images, classes), "
            f"found {checked.shape} and {tags.shape}"
        )
    check_finite(checked)
    return checked, tags


def check_finite(scores: NDArray[np.floating[Any]], *, name: str = "scores") -> None:
    """Refuse NaN and infinite scores (..., K) with a `NumericsError` that names row and class."""
    finite = np.isfinite(scores)
    if finite.all():
        return
    place = tuple(int(i) for i in np.argwhere(~finite)[0])
    row, column = place[-2:] if len(place) > 1 else (place[0], 0)
    seed = f", seed {place[0]}" if len(place) > 2 else ""
    raise NumericsError(
        f"{name} must be finite, found {scores[place]} at image row {row}, class {column}{seed} "
        f"({np.count_nonzero(~finite)} such values in all)",
        hint="the model diverged or its outputs overflowed; compute the sigmoid in float32",
    )


def check_classes(classes: Sequence[str], count: int) -> tuple[str, ...]:
    """Refuse (`ShapeError`) class names that are not one per column; the names as a tuple."""
    if len(classes) != count:
        raise ShapeError(f"expected one class name for each of {count} columns, got {len(classes)}")
    return tuple(classes)


def known(value: float | None) -> float | None:
    """A figure; None where nothing could be computed (NaN)."""
    return None if value is None or np.isnan(value) else float(value)


EDGE = 1e-7
"""Probabilities are kept this far from 0 and 1: a float32 sigmoid rounds to 1 at about there."""


def logit(probabilities: ArrayLike) -> Float64Array:
    """``log(p / (1 - p))`` of probabilities, those nearer to 0 or 1 than `EDGE` taken as there."""
    p = np.clip(np.asarray(probabilities, np.float64), EDGE, 1 - EDGE)
    return np.asarray(np.log(p) - np.log1p(-p), np.float64)


def sigmoid(logits: ArrayLike) -> Float64Array:
    """``1 / (1 + exp(-z))``, for numbers of any size."""
    z = np.asarray(logits, np.float64)
    small = np.exp(-np.abs(z))
    return np.asarray(np.where(z >= 0, 1, small) / (1 + small), np.float64)


def known_mean(values: Float64Array) -> float | None:
    """Mean of the values that are not NaN; None where all are."""
    there = values[~np.isnan(values)]
    return float(there.mean()) if there.size else None
