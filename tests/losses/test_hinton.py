"""Hinton distillation for sigmoid outputs, against its formula written out in plain loops."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from boxless.losses.hinton import CLAMP, SigmoidDistillationLoss, soften

N, K = 5, 4


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(N, K, generator=generator, dtype=torch.float64)
    return logits.requires_grad_(), torch.rand(N, K, generator=generator, dtype=torch.float64)


def transcription(logits, probabilities, temperature):
    total = 0.0
    for z, p in zip(logits.ravel(), probabilities.ravel(), strict=True):
        clamped = min(max(p, CLAMP), 1 - CLAMP)
        teacher = 1 / (1 + math.exp(-math.log(clamped / (1 - clamped)) / temperature))
        student = 1 / (1 + math.exp(-z / temperature))
        total -= teacher * math.log(student) + (1 - teacher) * math.log(1 - student)
    return temperature**2 * total / len(logits)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_is_its_formula(pair, temperature):
    logits, targets = pair
    targets[0, 0], targets[0, 1] = 0.0, 1.0  # a teacher that is sure
    expected = transcription(logits.detach().numpy(), targets.numpy(), temperature)
    assert float(SigmoidDistillationLoss(temperature)(logits.detach(), targets)) == pytest.approx(
        expected, rel=1e-12
    )


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_gradient(pair, temperature):
    """T (sigmoid(z/T) - q) / N: T^2 makes up for both divisions by T where all is soft."""
    logits, targets = pair
    loss = SigmoidDistillationLoss(temperature)
    (gradient,) = torch.autograd.grad(loss(logits, targets), logits)
    expected = temperature * ((logits / temperature).sigmoid() - soften(targets, temperature)) / N
    torch.testing.assert_close(gradient, expected)
    assert torch.autograd.gradcheck(lambda z: loss(z, targets), logits)


def test_flat_where_student_is_teacher(pair):
    logits, _ = pair
    (gradient,) = torch.autograd.grad(
        SigmoidDistillationLoss(3.0)(logits, logits.detach().sigmoid()), logits
    )
    assert float(gradient.abs().max()) < 1e-12


@given(st.floats(0, 1), st.floats(1, 10))
def test_softening_moves_towards_a_half_and_keeps_the_side(p, temperature):
    soft = float(soften(torch.tensor(p, dtype=torch.float64), temperature))
    clamped = float(np.clip(p, CLAMP, 1 - CLAMP))
    assert abs(soft - 0.5) <= abs(clamped - 0.5) + 1e-12
    assert (soft - 0.5) * (clamped - 0.5) >= -1e-12


def test_temperature_one_keeps_the_teacher():
    p = torch.tensor([0.2, 0.9], dtype=torch.float64)
    torch.testing.assert_close(soften(p, 1.0), p)


def test_no_parameters_and_no_state():
    loss = SigmoidDistillationLoss(2.0)
    assert list(loss.parameters()) == []
    assert loss.state_dict() == {}
