import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.calibration import calibration_curve

from boxless.errors import ConfigError
from boxless.metrics.calibration_error import expected_calibration_error, reliability

KINDS = {"equal_width": "uniform", "equal_mass": "quantile"}


def example(images=500, classes=3, seed=0):
    random = np.random.default_rng(seed)
    values = random.beta(0.4, 1.5, (images, classes))
    return values, (random.random(values.shape) < values**1.5).astype(np.int8)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bins", [1, 4, 15])
def test_the_curve_is_scikit_learns(kind, bins):
    values, labels = example()
    found = reliability(values, labels, bins=bins, kind=kind)
    observed, predicted = calibration_curve(
        labels.ravel(), values.ravel(), n_bins=bins, strategy=KINDS[kind]
    )
    np.testing.assert_allclose(found.observed, observed)
    np.testing.assert_allclose(found.predicted, predicted)
    assert found.count.sum() == values.size


@pytest.mark.parametrize("bins", [1, 5, 15])
def test_the_error_equals_a_plain_loop(bins):
    values, labels = example(60)
    expected = 0.0
    for low, high in zip(np.arange(bins) / bins, (np.arange(bins) + 1) / bins, strict=True):
        inside = (values > low) & (values <= high) if low else values <= high
        if inside.any():
            gap = abs(values[inside].mean() - labels[inside].mean())
            expected += gap * inside.mean()
    assert expected_calibration_error(values, labels, bins=bins) == pytest.approx(expected)


def test_right_probabilities_have_no_error_and_wrong_ones_do():
    values = np.repeat([0.25, 0.75], 40)[:, None]
    labels = (np.arange(80) % 4 < np.repeat([1, 3], 40)).astype(np.int8)[:, None]
    assert expected_calibration_error(values, labels) == pytest.approx(0)
    assert expected_calibration_error(1 - values, labels) == pytest.approx(0.5)


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=50)
@given(
    arrays(np.float32, (6, 2), elements=st.floats(0, 1, width=32)),
    arrays(np.int8, (6, 2), elements=st.sampled_from([1, 0, -1])),
)
def test_every_pair_is_in_one_bin_and_finer_bins_find_no_less(kind, values, labels):
    found = reliability(values, labels, bins=5, kind=kind)
    assert found.count.sum() == (labels >= 0).sum()
    if not (labels >= 0).any():
        assert np.isnan(found.error)
        return
    whole = expected_calibration_error(values, labels, bins=1, kind=kind)
    assert -1e-9 <= whole <= found.error + 1e-6 <= 1 + 2e-6  # triangle inequality


def test_bins_of_equal_mass_hold_equally_many():
    values, labels = example(700, 2)
    counts = reliability(values, labels, bins=14, kind="equal_mass").count
    assert np.ptp(counts) <= 1


def test_wrong_settings_are_named():
    values, labels = example(4)
    with pytest.raises(ConfigError, match="at least 1"):
        reliability(values, labels, bins=0)
    with pytest.raises(ConfigError, match="equal_mass"):
        reliability(values, labels, kind="thirds")
