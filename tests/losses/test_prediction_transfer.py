"""Stage 2's soft losses against the formulas of the poster and of the released code."""

import pytest
import torch
from torch.nn import functional

from boxless.losses import ClassAwareLoss

N, K = 6, 4


def l2(logits, targets):
    return ClassAwareLoss("l2", classes=K)(logits, targets)


def bce(logits, targets, scale):
    return ClassAwareLoss("bce", classes=K, temperature=1 / scale).double()(logits, targets)


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(N, K, generator=generator, dtype=torch.float64)
    return logits.requires_grad_(), torch.rand(N, K, generator=generator, dtype=torch.float64)


def test_l2_is_the_posters(pair):
    logits, targets = pair
    student = 1 / (1 + (-logits).exp())
    expected = sum(((targets[n] - student[n]) ** 2).sum() for n in range(N)) / (2 * N)
    value = l2(logits, targets)
    torch.testing.assert_close(value, expected)
    (gradient,) = torch.autograd.grad(value, logits)
    by_hand = (student - targets) * student * (1 - student) / N
    torch.testing.assert_close(gradient, by_hand)


def test_bce_is_caffes_sigmoid_cross_entropy(pair):
    """sigmoid_cross_entropy_loss_layer: -sum x (t - [x>=0]) - log(1 + exp(x - 2x[x>=0]))."""
    logits, targets = pair
    x = logits * 0.2
    positive = (x >= 0).double()
    terms = x * (targets - positive) - (1 + (x - 2 * x * positive).exp()).log()
    torch.testing.assert_close(bce(logits, targets, 0.2), -terms.sum() / N)


@pytest.mark.parametrize("scale", [0.2, 1.0, 2.5])
def test_bce_gradient(pair, scale):
    """Method 5.3: a (sigmoid(a z) - p') / N."""
    logits, targets = pair
    (gradient,) = torch.autograd.grad(bce(logits, targets, scale), logits)
    expected = scale * ((scale * logits).sigmoid() - targets) / N
    torch.testing.assert_close(gradient, expected)


def test_gradcheck(pair):
    logits, targets = pair
    assert torch.autograd.gradcheck(lambda z: l2(z, targets), logits)
    assert torch.autograd.gradcheck(lambda z: bce(z, targets, 0.2), logits)


def test_l2_is_zero_and_flat_where_student_equals_teacher(pair):
    logits, _ = pair
    value = l2(logits, logits.detach().sigmoid())
    (gradient,) = torch.autograd.grad(value, logits)
    assert value.item() == pytest.approx(0, abs=1e-20)
    assert float(gradient.abs().max()) < 1e-12


def test_module_uses_one_over_the_temperature(pair):
    logits, targets = pair
    soft = ClassAwareLoss("bce", classes=K, temperature=5.0).double()
    expected = functional.binary_cross_entropy_with_logits(logits * 0.2, targets, reduction="sum")
    torch.testing.assert_close(soft(logits, targets), expected / N)
    assert list(soft.parameters()) == []


def test_learned_temperature_is_one_scale_a_class(pair):
    logits, targets = pair
    soft = ClassAwareLoss("bce", classes=K, temperature=5.0, learn_temperature=True).double()
    torch.testing.assert_close(
        soft.scale, torch.full((K,), 0.2, dtype=torch.float64), atol=1e-7, rtol=0
    )
    assert [p.shape for p in soft.parameters()] == [(K,)]
    soft(logits, targets).backward()
    student = (soft.scale * logits).sigmoid()
    expected = (logits * (student - targets)).sum(0) / N
    torch.testing.assert_close(soft.scale.grad, expected)
