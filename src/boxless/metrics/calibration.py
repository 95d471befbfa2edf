"""Temperatures and thresholds of one model, fitted on held-out images."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from boxless.metrics import temperature, thresholds
from boxless.metrics.inputs import check_pair
from boxless.metrics.temperature import apply_temperatures, fit_temperatures
from boxless.metrics.thresholds import shrunk_thresholds
from boxless.types import Float64Array

FOLDS: Final = 5
MOST_REPETITIONS: Final = 5
_IMAGES_IN_ALL: Final = 10_000  # repetitions times images: many images need no repetition


@dataclass(frozen=True, slots=True)
class Calibration:
    """What turns a student's logits into probabilities and labels.

    Attributes:
        temperatures: K; a class's probability is ``sigmoid(logit / temperature)``.
        thresholds: K; a class is present where that probability is above its threshold.
    """

    temperatures: tuple[float, ...]
    thresholds: tuple[float, ...]

    @classmethod
    def none(cls, classes: int) -> "Calibration":
        """Temperature 1 and threshold 0.5 for every class."""
        return cls((1.0,) * classes, (0.5,) * classes)

    def apply(self, probabilities: ArrayLike) -> Float64Array:
        """Calibrated (M, K) probabilities of raw ones."""
        return apply_temperatures(probabilities, self.temperatures)


@dataclass(frozen=True, slots=True)
class Fit:
    """A calibration and how strongly classes were drawn together.

    Attributes:
        calibration: The result.
        temperature_strength: See `boxless.metrics.temperature.fit_temperatures`.
        threshold_strength: See `boxless.metrics.thresholds.shrunk_thresholds`.
    """

    calibration: Calibration
    temperature_strength: float
    threshold_strength: float


def fit_calibration(probabilities: ArrayLike, labels: ArrayLike, *, seed: int = 0) -> Fit:
    """Fit temperatures, then thresholds on the calibrated probabilities.

    How strongly classes are drawn together is chosen by five-fold cross-validation on the same
    images, up to five times with other folds, once for temperatures (by log-likelihood) and once
    for thresholds (by F1-C).

    Args:
        probabilities: (M, K) uncalibrated probabilities of images that were not trained on.
        labels: (M, K) values of {1, 0, -1}.
        seed: Of the folds.

    Returns:
        The fit. Fewer than five images say too little: temperature 1, threshold 0.5.

    Raises:
        ShapeError: If shapes do not fit.
        NumericsError: If a probability is NaN or infinite.

    Example:
        >>> import numpy as np
        >>> from boxless.metrics import fit_calibration
        >>> labels = np.eye(2, dtype=int).repeat(20, 0)
        >>> held_out = 0.3 * labels + 0.1  # right, but never above 0.5
        >>> fitted = fit_calibration(held_out, labels).calibration
        >>> bool(((fitted.apply(held_out) > fitted.thresholds) == labels).all())
        True
    """
    values, tags = check_pair(probabilities, labels)
    infinite = float("inf")
    if len(values) < FOLDS:
        return Fit(Calibration.none(values.shape[1]), infinite, infinite)
    folds = random_folds(len(values), seed=seed)
    for_temperatures = temperature.choose_strength(values, tags, folds)
    temperatures = fit_temperatures(values, tags, strength=for_temperatures)
    calibrated = apply_temperatures(values, temperatures)
    for_thresholds = thresholds.choose_strength(calibrated, tags, folds)
    limits = shrunk_thresholds(calibrated, tags, strength=for_thresholds)
    found = Calibration(tuple(temperatures.tolist()), tuple(limits.tolist()))
    return Fit(found, for_temperatures, for_thresholds)


def random_folds(images: int, *, seed: int) -> NDArray[np.int64]:
    """(repetitions, M) numbers 0 to 4, each about equally often in a row."""
    generator = np.random.default_rng(seed)
    row = np.arange(images) % FOLDS
    repetitions = min(MOST_REPETITIONS, max(1, _IMAGES_IN_ALL // max(images, 1)))
    return np.stack([generator.permutation(row) for _ in range(repetitions)])
