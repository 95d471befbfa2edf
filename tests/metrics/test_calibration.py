import numpy as np
import pytest

from boxless.errors import NumericsError
from boxless.metrics.calibration import (
    Calibration,
    fit_calibration,
    random_folds,
)
from boxless.metrics.calibration_error import expected_calibration_error
from boxless.metrics.f1 import f1_report
from boxless.metrics.inputs import sigmoid


def timid_and_loud(images, seed):
    """A student whose scores are three times too large and, for rare classes, too low."""
    random = np.random.default_rng(seed)
    truth = random.normal(size=(images, 6)) * 2 - 2
    labels = (random.random(truth.shape) < sigmoid(truth)).astype(np.int8)
    return sigmoid(3 * truth).astype(np.float32), labels


def test_it_helps_on_images_it_has_not_seen():
    fit = fit_calibration(*timid_and_loud(250, 0))
    values, labels = timid_and_loud(2000, 1)
    found = fit.calibration
    calibrated = found.apply(values)
    before = expected_calibration_error(values, labels)
    assert expected_calibration_error(calibrated, labels) < 0.4 * before
    tuned = f1_report(calibrated, labels, threshold=np.array(found.thresholds)).f1_c
    assert tuned > f1_report(values, labels).f1_c + 0.02


def test_it_is_the_same_every_time():
    values, labels = timid_and_loud(20, 2)
    assert fit_calibration(values, labels) == fit_calibration(values, labels)


def test_a_handful_of_images_says_nothing():
    fit = fit_calibration(*timid_and_loud(4, 0))
    assert fit.calibration == Calibration.none(6)
    assert fit.calibration.thresholds == (0.5,) * 6


def test_no_positive_at_all_still_gives_numbers():
    values, labels = timid_and_loud(10, 0)
    fit = fit_calibration(values, np.zeros_like(labels))
    assert fit.calibration.thresholds == pytest.approx((0.5,) * 6, rel=1e-6)
    assert np.isfinite(fit.calibration.temperatures).all()


def test_folds_are_even_and_fewer_for_many_images():
    folds = random_folds(23, seed=0)
    assert folds.shape == (5, 23)
    assert all(np.ptp(np.bincount(row, minlength=5)) <= 1 for row in folds)
    assert random_folds(50_000, seed=0).shape == (1, 50_000)


def test_a_diverged_student_is_named():
    values, labels = timid_and_loud(10, 0)
    values[3, 1] = np.nan
    with pytest.raises(NumericsError, match="row 3, class 1"):
        fit_calibration(values, labels)
