"""Logistic regression: scikit-learn's answer, a zero gradient, unknown labels, odd classes."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from boxless.errors import NumericsError
from boxless.models.logistic import FREE, fit_logistic, rotate


def made(images=60, width=90, classes=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(images, width, generator=generator, dtype=torch.float64)
    truth = torch.randn(width, classes, generator=generator, dtype=torch.float64)
    noise = torch.randn(images, classes, generator=generator, dtype=torch.float64)
    return vectors, (vectors @ truth / 5 + noise > 1).to(torch.int8)


@pytest.mark.parametrize(("images", "width"), [(60, 90), (90, 30)])
@pytest.mark.parametrize("ridge", [0.03, 3.0])
def test_weights_are_scikit_learns(images, width, ridge):
    vectors, labels = made(images, width)
    coordinates, basis = rotate(vectors)
    found = fit_logistic(coordinates, labels, ridge=ridge)
    weight = (found[:-1].T @ basis).numpy()
    for k in range(labels.shape[1]):
        other = LogisticRegression(C=1 / ridge, tol=1e-10, max_iter=10_000)
        other.fit(vectors.numpy(), labels[:, k].numpy())
        np.testing.assert_allclose(weight[k], other.coef_[0], rtol=2e-3, atol=2e-4)
        np.testing.assert_allclose(float(found[-1, k]), other.intercept_[0], atol=2e-3)


def test_gradient_is_zero_with_unknown_labels():
    vectors, labels = made()
    labels[::3, 1] = -1
    found = fit_logistic(vectors, labels, ridge=0.1).requires_grad_()
    logits = vectors @ found[:-1] + found[-1]
    terms = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, (labels == 1).double(), reduction="none"
    )
    penalty = 0.1 / 2 * found[:-1].square().sum() + FREE / 2 * found[-1].square().sum()
    ((labels >= 0) * terms).sum().add(penalty).backward()
    assert float(found.grad.abs().max()) < 1e-6


def test_unknown_labels_count_nothing():
    vectors, labels = made()
    part = fit_logistic(vectors[20:], labels[20:], ridge=0.1)
    labels[:20] = -1
    torch.testing.assert_close(fit_logistic(vectors, labels, ridge=0.1), part, atol=1e-5, rtol=0)


def test_start_changes_nothing_and_repetition_no_bit():
    vectors, labels = made()
    first = fit_logistic(vectors, labels, ridge=0.1)
    assert torch.equal(first, fit_logistic(vectors, labels, ridge=0.1))
    strong = fit_logistic(vectors, labels, ridge=1.0)
    warm = fit_logistic(vectors, labels, ridge=0.1, start=strong)
    torch.testing.assert_close(warm, first, atol=1e-5, rtol=0)


def test_classes_without_or_with_every_image_are_finite_and_sure():
    vectors, labels = made()
    labels[:, 0], labels[:, 1], labels[:, 2] = 0, 1, -1
    found = fit_logistic(vectors, labels, ridge=0.1)
    shares = (vectors @ found[:-1] + found[-1]).sigmoid()
    assert torch.isfinite(found).all()
    assert float(shares[:, 0].max()) < 1e-3
    assert float(shares[:, 1].min()) > 1 - 1e-3
    assert (shares[:, 2] == 0.5).all()


def test_rotation_keeps_vectors_and_leaves_out_what_is_not_there():
    vectors, _ = made(40, 25)
    for given in (vectors, vectors.T.contiguous(), torch.cat([vectors, vectors], 1)):
        coordinates, basis = rotate(given)
        assert coordinates.shape[1] == 25
        torch.testing.assert_close(coordinates @ basis, given, atol=1e-9, rtol=0)
        eye = torch.eye(25, dtype=torch.float64)
        torch.testing.assert_close(basis @ basis.T, eye, atol=1e-9, rtol=0)


def test_features_that_are_not_finite_are_refused():
    vectors, labels = made()
    vectors[3, 3] = torch.nan
    with pytest.raises(NumericsError, match="did not converge"):
        fit_logistic(vectors, labels, ridge=0.1)


def test_images_that_are_all_alike_leave_the_share_of_each_class():
    vectors, labels = (
        torch.zeros(8, 3, dtype=torch.float64),
        torch.tensor([[1, 0]] * 2 + [[0, 1]] * 6),
    )
    inputs, basis = rotate(vectors)
    assert inputs.shape == (8, 0)
    assert basis.shape == (0, 3)
    weight = fit_logistic(inputs, labels, ridge=1.0)
    assert weight.shape == (1, 2)
    np.testing.assert_allclose(weight[0].sigmoid(), [0.25, 0.75], atol=1e-6)
