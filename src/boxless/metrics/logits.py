"""From probabilities to logits and back, in double precision and without infinities."""

import numpy as np
from numpy.typing import ArrayLike

from boxless.types import Float64Array

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
