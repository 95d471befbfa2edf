"""How far probabilities are from frequencies: reliability curve and expected calibration error.

All pairs of image and class are looked at together, as one yes-or-no question each. Source: Naeini
et al., "Obtaining Well Calibrated Probabilities Using Bayesian Binning", AAAI 2015.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from boxless.errors import ConfigError
from boxless.metrics.inputs import check_pair
from boxless.types import PRESENT, UNKNOWN, Float64Array

Bins = Literal["equal_width", "equal_mass"]
BINS = 15


@dataclass(frozen=True, slots=True)
class Reliability:
    """Bins that hold at least one pair, from low to high probability.

    Attributes:
        predicted: (B,) mean probability of the pairs in a bin.
        observed: (B,) share of them that are present.
        count: (B,) number of pairs.
    """

    predicted: Float64Array
    observed: Float64Array
    count: NDArray[np.int64]

    @property
    def error(self) -> float:
        """Expected calibration error: mean of ``|predicted - observed|`` over all pairs."""
        if not self.count.size:
            return float("nan")
        return float(np.average(np.abs(self.predicted - self.observed), weights=self.count))


def reliability(
    probabilities: ArrayLike, labels: ArrayLike, *, bins: int = BINS, kind: Bins = "equal_width"
) -> Reliability:
    """Compare mean probability and share of positives, bin by bin; empty bins are left out.

    Args:
        probabilities: (M, K) values in [0, 1].
        labels: (M, K) values of {1, 0, -1}; -1 is left out.
        bins: Number of bins.
        kind: ``equal_width``: [0, 1] in equal parts; ``equal_mass``: cut at quantiles of the
            probabilities, equal ones kept together. A value on a border belongs to the bin below.

    Raises:
        ShapeError: If shapes do not fit.
        ConfigError: If `bins` or `kind` make no sense.
    """
    values, tags = check_pair(probabilities, labels)
    if bins < 1:
        raise ConfigError(f"bins must be at least 1, found {bins}")
    known = tags != UNKNOWN
    p, truth = values[known].astype(np.float64), tags[known] == PRESENT
    place = np.searchsorted(_borders(p, bins, kind), p)
    count = np.bincount(place, minlength=bins)
    filled = count > 0
    sums = np.bincount(place, weights=p, minlength=bins)[filled]
    hits = np.bincount(place, weights=truth.astype(np.float64), minlength=bins)[filled]
    return Reliability(sums / count[filled], hits / count[filled], count[filled].astype(np.int64))


def _borders(values: Float64Array, bins: int, kind: str) -> NDArray[Any]:
    """The borders between bins, without the outer ends."""
    shares = np.linspace(0, 1, bins + 1)[1:-1]
    if kind == "equal_width":
        return shares
    if kind != "equal_mass":
        raise ConfigError(f"bins must be 'equal_width' or 'equal_mass', found {kind!r}")
    return np.quantile(values, shares) if values.size else shares


def expected_calibration_error(
    probabilities: ArrayLike, labels: ArrayLike, *, bins: int = BINS, kind: Bins = "equal_width"
) -> float:
    """`Reliability.error` of `reliability`; in [0, 1], NaN without any known pair.

    Example:
        >>> from boxless.metrics import expected_calibration_error
        >>> round(expected_calibration_error([[0.9], [0.9]], [[1], [0]]), 3)  # half, not 90 %
        0.4
    """
    return reliability(probabilities, labels, bins=bins, kind=kind).error
