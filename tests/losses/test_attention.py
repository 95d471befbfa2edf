"""Attention transfer in its paper's and its code's form, each written out in plain loops."""

import math

import pytest
import torch

from boxless.errors import ShapeError
from boxless.losses.attention import attention_loss, attention_map

N, H, W = 3, 2, 3


def maps(seed, channels):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(N, channels, H, W, generator=generator, dtype=torch.float64)


def attention(features):
    """Rows of one image: sum of squares over channels, divided by the norm."""
    rows = []
    for image in features.numpy():
        flat = [sum(v**2 for v in image[:, i, j]) for i in range(H) for j in range(W)]
        norm = math.sqrt(sum(v**2 for v in flat))
        rows.append([v / norm for v in flat])
    return rows


def transcription(student, teacher, beta, form):
    squares = [
        [(s - t) ** 2 for s, t in zip(a, b, strict=True)]
        for a, b in zip(attention(student), attention(teacher), strict=True)
    ]
    if form == "released":  # (at(x) - at(y)).pow(2).mean(), times beta
        return beta * sum(map(sum, squares)) / (N * H * W)
    return beta / 2 * sum(math.sqrt(sum(row)) for row in squares) / N


@pytest.mark.parametrize("form", ["released", "paper"])
def test_is_its_formula(form):
    student, teacher = maps(0, 4), maps(1, 7)
    expected = transcription(student, teacher, 1000.0, form)
    found = float(attention_loss(student, teacher, beta=1000.0, form=form))
    assert found == pytest.approx(expected, rel=1e-10)


def test_the_released_form_is_the_default_and_averages_channels_without_effect():
    """The code takes the channels' mean, the paper their sum: the norm makes them equal."""
    student, teacher = maps(0, 4), maps(1, 7)
    at = torch.nn.functional.normalize
    code = at(student.pow(2).mean(1).view(N, -1)) - at(teacher.pow(2).mean(1).view(N, -1))
    found = attention_loss(student, teacher, beta=5.0)
    torch.testing.assert_close(found, 5.0 * code.pow(2).mean())


@pytest.mark.parametrize("form", ["released", "paper"])
def test_gradcheck(form):
    student, teacher = maps(0, 4).requires_grad_(), maps(1, 7)
    assert torch.autograd.gradcheck(
        lambda s: attention_loss(s, teacher, beta=2.0, form=form), student
    )


@pytest.mark.parametrize("form", ["released", "paper"])
def test_zero_with_a_finite_gradient_at_equality(form):
    student = maps(0, 4).requires_grad_()
    value = attention_loss(student, 3 * student.detach(), beta=1.0, form=form)  # scale is no matter
    (gradient,) = torch.autograd.grad(value, student)
    assert float(value) == pytest.approx(0, abs=1e-10)
    assert torch.isfinite(gradient).all()


def test_a_dead_map_has_no_attention():
    dead = torch.zeros(1, 2, H, W, requires_grad=True)
    assert attention_map(dead).tolist() == [[0.0] * (H * W)]
    attention_loss(dead, torch.ones(1, 2, H, W), beta=1.0).backward()
    assert torch.isfinite(dead.grad).all()


def test_cells_must_agree():
    with pytest.raises(ShapeError, match="agree in images and cells"):
        attention_loss(maps(0, 4), maps(1, 4)[..., :2], beta=1.0)
