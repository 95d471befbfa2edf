"""Attention transfer: where the maps are strong, whatever in (activation-based).

    Q = sum_c |F_c|^2, flattened, divided by its L2 norm

Zagoruyko, Komodakis 2017 (https://arxiv.org/abs/1612.03928). Their paper and their code differ:

* ``paper`` (Eq. 2): beta/2 sum over levels of || Q^S - Q^T ||_2;
* ``released`` (github.com/szagoruyko/attention-transfer): beta times the sum over levels of the
  mean over images and cells of (Q^S - Q^T)^2, with beta 1000.
"""

from typing import Final, Literal

import torch
from torch import Tensor
from torch.nn import functional

from boxless.errors import ShapeError

AttentionForm = Literal["released", "paper"]

TINY: Final = 1e-24
"""Added under the root of the norm, whose gradient is not defined at 0."""


def attention_map(features: Tensor) -> Tensor:
    """Normalised spatial attention.

    Args:
        features: (N, C, h, w).

    Returns:
        (N, h w) values >= 0 with L2 norm 1 per image (0 where the map is 0 everywhere).
    """
    return functional.normalize(features.square().sum(1).flatten(1), dim=1)


def attention_loss(
    student: Tensor, teacher: Tensor, *, beta: float, form: AttentionForm = "released"
) -> Tensor:
    """Attention transfer of one level.

    Args:
        student: (N, C_S, h, w) student map, differentiable.
        teacher: (N, C_T, h, w) teacher map, pooled to the student's cells.
        beta: Weight.
        form: Which of the two published losses.

    Returns:
        Scalar.

    Raises:
        ShapeError: The two maps differ in images or cells.
    """
    cells = [(len(m), *m.shape[2:]) for m in (student, teacher)]
    if cells[0] != cells[1]:
        raise ShapeError(
            f"attention: student map {tuple(student.shape)} and teacher map"
            f" {tuple(teacher.shape)} must agree in images and cells",
            hint="pool the teacher's map to the student's cells first",
        )
    difference = (attention_map(student) - attention_map(teacher)).square()
    if form == "released":
        return beta * difference.mean()
    return beta / 2 * torch.sqrt(difference.sum(1) + TINY).mean()
