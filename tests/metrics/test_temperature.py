import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from boxless.metrics.average_precision import mean_average_precision
from boxless.metrics.inputs import logit, sigmoid
from boxless.metrics.temperature import (
    HIGHEST,
    LOWEST,
    apply_temperatures,
    choose_strength,
    fit_temperatures,
    negative_log_likelihood,
    shared_temperature,
)


def overconfident(images=1000, temperatures=(2.0, 2.0, 2.0), seed=0):
    """Labels drawn from sigmoid(z / T), probabilities sigmoid(z)."""
    random = np.random.default_rng(seed)
    z = random.normal(size=(images, len(temperatures))) * 3
    labels = (random.random(z.shape) < sigmoid(z / np.array(temperatures))).astype(np.int8)
    return sigmoid(z), labels


def test_logit_and_sigmoid_undo_each_other():
    z = np.linspace(-15, 15, 61)
    np.testing.assert_allclose(logit(sigmoid(z)), z, atol=1e-6)
    assert np.isfinite(logit(np.array([0.0, 1.0], np.float32))).all()
    np.testing.assert_allclose(sigmoid([-1e4, 0, 1e4]), [0, 0.5, 1])


def test_likelihood_is_scikit_learns():
    values, labels = overconfident(50)
    expected = log_loss(labels.ravel(), values.ravel())
    assert negative_log_likelihood(values, labels) == pytest.approx(expected, rel=1e-9)


def test_it_finds_the_temperature_that_made_the_labels():
    values, labels = overconfident(20000)
    assert shared_temperature(values, labels) == pytest.approx(2.0, rel=0.03)
    found = fit_temperatures(*overconfident(20000, (0.7, 1.0, 3.0)), strength=0)
    np.testing.assert_allclose(found, [0.7, 1.0, 3.0], rtol=0.06)


def test_it_is_logistic_regression_without_intercept():
    values, labels = overconfident(300)
    for k, found in enumerate(fit_temperatures(values, labels, strength=0)):
        model = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10, max_iter=1000)
        model.fit(logit(values[:, [k]]), labels[:, k])
        assert 1 / found == pytest.approx(float(model.coef_[0, 0]), rel=1e-4)


@pytest.mark.parametrize("strength", [0.5, 10.0])
def test_the_shrunk_one_is_the_minimum_of_its_formula(strength):
    values, labels = overconfident(60, (1.0, 4.0))
    shared = 1 / shared_temperature(values, labels)
    found = fit_temperatures(values, labels, strength=strength)
    for k in range(2):
        z, y = logit(values[:, k]), labels[:, k]

        def loss(a, z=z, y=y):
            spread = strength / 2 * (a / shared - 1) ** 2
            return (np.logaddexp(0, a * z) - a * z * y).sum() + spread

        best = minimize_scalar(loss, bounds=(0.05, 20), method="bounded", options={"xatol": 1e-9})
        assert 1 / found[k] == pytest.approx(best.x, rel=1e-5)


def test_strength_draws_classes_together():
    values, labels = overconfident(400, (0.7, 1.5, 4.0))
    spreads = [np.ptp(fit_temperatures(values, labels, strength=s)) for s in (0, 10, 100, 1e9)]
    assert spreads == sorted(spreads, reverse=True)
    assert spreads[-1] < 1e-3
    together = fit_temperatures(values, labels, strength=float("inf"))
    np.testing.assert_array_equal(together, np.full(3, shared_temperature(values, labels)))


def test_a_faultless_class_stays_near_the_shared_temperature():
    values, labels = overconfident(400, (2.0, 2.0))
    values[:, 0] = np.where(labels[:, 0] == 1, 0.95, 0.05)
    free = fit_temperatures(values, labels, strength=0)
    held = fit_temperatures(values, labels, strength=100)
    assert free[0] == pytest.approx(LOWEST, rel=1e-6)
    assert held[0] > 3 * free[0]


@given(st.integers(0, 10_000), st.floats(0, 50))
@settings(max_examples=25, deadline=None)
def test_fitted_temperatures_never_hurt_the_fitted_images(seed, strength):
    values, labels = overconfident(40, (0.5, 3.0), seed=seed)
    labels[::7, 0] = -1
    found = fit_temperatures(values, labels, strength=strength)
    assert ((found >= LOWEST) & (found <= HIGHEST)).all()
    before = negative_log_likelihood(values, labels)
    shared = apply_temperatures(values, shared_temperature(values, labels))
    between = negative_log_likelihood(shared, labels)
    after = negative_log_likelihood(apply_temperatures(values, found), labels)
    assert after <= between + 1e-9 <= before + 2e-9


def test_the_order_and_so_the_map_stays():
    values, labels = overconfident(200)
    after = apply_temperatures(values, fit_temperatures(values, labels, strength=3))
    before, found = (
        mean_average_precision(p, labels, classes=("a", "b", "c")).value for p in (values, after)
    )
    assert found == pytest.approx(before, abs=1e-12)


def test_cross_validation_prefers_one_temperature_for_classes_of_one():
    folds = np.arange(60)[None] % 5
    assert choose_strength(*overconfident(60, (2.0,) * 8), folds) >= 30
    assert choose_strength(*overconfident(500, (0.5, 5.0)), np.arange(500)[None] % 5) <= 10


def test_unknown_labels_do_not_count():
    values, labels = overconfident(80)
    hidden = labels.copy()
    hidden[40:] = -1
    np.testing.assert_allclose(
        fit_temperatures(values, hidden, strength=2),
        fit_temperatures(values[:40], labels[:40], strength=2),
    )
    assert np.isnan(negative_log_likelihood(values, np.full_like(labels, -1)))
