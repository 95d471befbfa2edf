"""L2-regularized logistic regression of many classes at once, fitted to convergence.

With few tags the strength of the penalty is worth more than any architecture, and a fit that stops
early has a penalty that nobody chose. Images are fewer than features, so all is done in the span of
the images (`rotate`), where Newton's method needs no matrix of features by features. float64, but
for the directions of its steps, which need not be exact.
"""

from typing import Final

import torch
from torch import Tensor

from boxless.errors import NumericsError
from boxless.types import PRESENT

FREE: Final = 1e-6
"""Penalty of the bias: next to none, yet finite for a class that no image has, or every one."""
TOLERANCE: Final = 1e-9
"""Largest gradient at the end, relative to the number of images."""
STEPS: Final = 60
INNER_STEPS: Final = 200
INNER_TOLERANCE: Final = 1e-2
"""Part of the gradient that conjugate gradients may leave in a Newton step."""
TINY: Final = 1e-30
"""Instead of 0 below a fraction, in single precision."""
RANK: Final = 1e-11
"""Directions whose share of the largest variance is below this are rounding."""


def rotate(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Vectors in an orthonormal basis of what they span; penalties on weights stay the same.

    Args:
        vectors: (M, D) float64.

    Returns:
        Coordinates (M, r), r <= min(M, D), uncorrelated and largest first, and the basis (r, D).
    """
    images, width = vectors.shape
    gram = vectors @ vectors.T if images < width else vectors.T @ vectors
    values, axes = torch.linalg.eigh(gram)
    kept = values > RANK * values[-1].clamp(min=1e-300)
    values, axes = values[kept].flip(0), axes[:, kept].flip(1)
    if images >= width:
        return vectors @ axes, axes.T
    sizes = values.sqrt()
    return axes * sizes, (axes / sizes).T @ vectors


def fit_logistic(
    inputs: Tensor, labels: Tensor, *, ridge: float, start: Tensor | None = None
) -> Tensor:
    """Minimize, for every class, ``sum_i bce(w x_i + b, y_i) + ridge / 2 |w|^2``.

    Newton's method; each step by conjugate gradients, all classes at once. The same input gives the
    same bits.

    Args:
        inputs: (M, r) float64; fastest for those of `rotate`.
        labels: (M, K) of 1, 0, -1; an unknown label counts nothing.
        ridge: Strength of the penalty, > 0; the bias is free.
        start: (r + 1, K) to begin with, such as the answer of a larger `ridge`.

    Returns:
        (r + 1, K) weights, the last row the biases.

    Raises:
        NumericsError: It does not converge: a vector is not finite, or `ridge` is next to 0.
    """
    known, wanted = (labels >= 0).to(inputs), (labels == PRESENT).to(inputs)
    inputs = torch.cat([inputs, inputs.new_ones(len(inputs), 1)], 1)
    penalty = torch.full_like(inputs[0], ridge)[:, None]
    penalty[-1] = FREE
    single = inputs.float()
    weight = torch.zeros_like(penalty).expand(-1, labels.shape[1]) if start is None else start
    for _ in range(STEPS):
        share = (inputs @ weight).sigmoid()
        gradient = inputs.T @ (known * (share - wanted)) + penalty * weight
        if float(gradient.abs().max()) <= TOLERANCE * len(inputs):
            return weight
        curvature = known * share * (1 - share)
        step = _newton_step(single, curvature.float(), penalty.float(), gradient)
        weight = _descend(inputs, known, wanted, penalty, weight, step)
    raise NumericsError(
        f"logistic regression did not converge in {STEPS} steps with ridge = {ridge:g}",
        hint="features must be finite and scaled; take a larger penalty",
    )


def _newton_step(inputs: Tensor, curvature: Tensor, penalty: Tensor, gradient: Tensor) -> Tensor:
    """Solve Hessian x step = gradient by conjugate gradients, preconditioned by the diagonal.

    In single precision, on gradients of length one.
    """
    length: Tensor = gradient.square().sum(0).sqrt().clamp(min=1e-300)
    found = _conjugate(inputs, curvature, penalty, (gradient / length).float())
    return found.double() * length


def _conjugate(inputs: Tensor, curvature: Tensor, penalty: Tensor, gradient: Tensor) -> Tensor:
    diagonal = inputs.square().T @ curvature + penalty
    step, rest = torch.zeros_like(gradient), gradient
    scaled = rest / diagonal
    direction, size = scaled, (rest * scaled).sum(0)
    goal = INNER_TOLERANCE**2 * size
    for _ in range(INNER_STEPS):
        image = inputs.T @ (curvature * (inputs @ direction)) + penalty * direction
        length = size / (direction * image).sum(0).clamp(min=TINY)
        length = torch.where(size > goal, length, 0)
        step, rest = step + length * direction, rest - length * image
        scaled = rest / diagonal
        size, before = (rest * scaled).sum(0), size
        if bool((size <= goal).all()):
            break
        direction = scaled + size / before.clamp(min=TINY) * direction
    return step


def _descend(
    inputs: Tensor, known: Tensor, wanted: Tensor, penalty: Tensor, weight: Tensor, step: Tensor
) -> Tensor:
    """Go each class's step, halved until its loss does not rise."""

    def losses(weight: Tensor) -> Tensor:
        logits = inputs @ weight
        terms = torch.nn.functional.softplus(logits) - wanted * logits
        return (known * terms).sum(0) + (penalty * weight.square()).sum(0) / 2

    before, length = losses(weight), torch.ones_like(weight[0])
    slack = 1e-12 * before.abs()
    for _ in range(30):
        worse = losses(weight - length * step) > before + slack
        if not bool(worse.any()):
            break
        length = torch.where(worse, length / 2, length)
    return weight - length * step
