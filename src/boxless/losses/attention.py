"""Attention transfer: where the maps are strong, whatever in (activation-based).

Zagoruyko, Komodakis 2017 (https://arxiv.org/abs/1612.03928): ``Q = sum_c |F_c|^2``, flattened and
divided by its L2 norm. Their paper (Eq. 2) and their code
(github.com/szagoruyko/attention-transfer) differ in what is done with Q^S - Q^T.
"""

from typing import Final, Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from boxless.errors import ConfigError, ShapeError, unknown_name
from boxless.losses.map_loss import MapLoss

AttentionForm = Literal["released", "paper"]

TINY: Final = 1e-24
"""Added under the root of the norm, whose gradient is not defined at 0."""


class AttentionTransferLoss(MapLoss):
    """Make a student's map strong where a teacher's is; has nothing to train.

    ``beta * mean((Q^S - Q^T)^2)`` with Q the sum of squares over channels, flattened and normalised
    per image; the teacher's map is averaged over the student's cells first. Zagoruyko, Komodakis,
    "Paying More Attention to Attention", ICLR 2017 (https://arxiv.org/abs/1612.03928).

    Args:
        beta: Weight; 1000 in the authors' code.
        form: ``released``: the authors' code, as above; ``paper``: Eq. 2,
            ``beta/2 * || Q^S - Q^T ||_2``.

    Raises:
        ConfigError: There is no such form.

    Example:
        >>> import torch
        >>> from boxless.losses import AttentionTransferLoss
        >>> teacher_map = torch.rand(2, 16, 4, 4)
        >>> loss = AttentionTransferLoss()
        >>> f"{loss(3 * teacher_map, teacher_map):.3f}"  # the scale is no matter
        '0.000'
    """

    def __init__(self, beta: float = 1000.0, *, form: AttentionForm = "released") -> None:
        super().__init__()
        if form not in get_args(AttentionForm):
            raise ConfigError(unknown_name("form of attention", form, get_args(AttentionForm)))
        self.beta, self.form = beta, form

    def compare(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Loss of maps (N, C_S, h, w) and (N, C_T, h, w)."""
        return attention_loss(student, teacher, beta=self.beta, form=self.form)


def attention_map(features: Tensor) -> Tensor:
    """Spatial attention (N, h w) of a map, with L2 norm 1 (0 where the map is 0 everywhere)."""
    return functional.normalize(features.square().sum(1).flatten(1), dim=1)


def attention_loss(
    student: Tensor, teacher: Tensor, *, beta: float, form: AttentionForm = "released"
) -> Tensor:
    """`AttentionTransferLoss` of maps (N, C, h, w) on the same cells; others: `ShapeError`."""
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
