"""Start Psi where stage 1 would end if the student's backbone stood still: in closed form.

The region loss is quadratic in a linear Psi, so its minimiser is a ridge regression from the
student's pooled regions onto the teacher's. Both sides of the normal equations come from the exact
region form, ``X'X = sum_n f' G f`` and ``X'Y = sum_n f' H``.

Why: a student that reads smaller images speaks on another scale than its teacher, and a region loss
without Psi first shrinks its features towards the teacher's mean, which destroys what ImageNet
taught them. Behind a fitted Psi the loss begins below that of the mean, and features keep their
scale. FitNets' regressor starts the same way, fitted cell by cell, so that no compared method
loses by its start alone.
"""

import torch
from torch import Tensor, nn

from boxless.errors import NumericsError
from boxless.losses.region_operators import build_region_form


class RidgeStart:
    """Normal equations of Psi from C to C' channels, gathered batch by batch."""

    def __init__(self, student_channels: int, teacher_channels: int) -> None:
        inputs = student_channels + 1  # the last one is Psi's bias
        self._gram = torch.zeros(inputs, inputs, dtype=torch.float64)
        self._cross = torch.zeros(inputs, teacher_channels, dtype=torch.float64)

    @torch.no_grad()
    def add(
        self,
        student: Tensor,
        teacher: Tensor,
        student_boxes: Tensor,
        teacher_boxes: Tensor,
        weights: Tensor,
        *,
        bins: int,
        channels: Tensor | None = None,
    ) -> None:
        """Take in a batch.

        Args:
            student: (N, C, h, w) student map, before Psi.
            teacher: (N, C', H, W) teacher map.
            student_boxes: (N, R, 4) unit boxes in the student's view.
            teacher_boxes: (N, R, 4) unit boxes of the same regions in the teacher's view.
            weights: (N, R) weights >= 0 of the squared distances; 0 for padding.
            bins: Bins per side.
            channels: (C'', C') directions of a teacher map of C'' channels; None = all as they are.
        """
        form = build_region_form(
            teacher,
            (int(student.shape[-2]), int(student.shape[-1])),
            student_boxes,
            teacher_boxes,
            weights,
            bins=bins,
            channels=channels,
            constant=weights.new_zeros(len(weights)),  # which the minimizer does not depend on
        )
        cells = _with_bias(student)
        self._take(cells, form.gram @ cells, form.target)

    @torch.no_grad()
    def add_cells(self, student: Tensor, teacher: Tensor) -> None:
        """Take in whole maps (N, C, h, w), (N, C', h, w): every cell is a row, all weigh alike."""
        cells = _with_bias(student)
        self._take(cells, cells, teacher.flatten(2).transpose(1, 2))

    def _take(self, cells: Tensor, alike: Tensor, targets: Tensor) -> None:
        """Add what cells (N, P, C + 1) have in common with (N, P, C + 1) and (N, P, C')."""
        left = cells.flatten(0, 1).T
        self._gram += (left @ alike.flatten(0, 1)).double().cpu()
        self._cross += (left @ targets.flatten(0, 1)).double().cpu()

    def solve(self, ridge: float) -> tuple[Tensor, Tensor]:
        """Weight (C', C) and bias (C',) of Psi that minimise the loss, float64.

        Args:
            ridge: Strength of the penalty on the weights, relative to the mean variance of the
                student's channels; the bias is free.

        Raises:
            NumericsError: No region had any weight, or features are not finite.
        """
        total = self._gram[-1, -1]
        if not bool(torch.isfinite(self._gram).all()) or float(total) <= 0:
            raise NumericsError(
                "Psi cannot start in closed form: no region has weight, or a feature map is not"
                " finite",
                hint="check teacher.epochs and stage1.objectness, or set stage1.adapter_start (or"
                " hint.adapter_start) to 'random'",
            )
        mean, target = self._gram[-1, :-1] / total, self._cross[-1] / total
        centred = self._gram[:-1, :-1] - total * torch.outer(mean, mean)
        cross = self._cross[:-1] - total * torch.outer(mean, target)
        penalty = ridge * centred.diagonal().mean() * torch.eye(len(mean), dtype=torch.float64)
        weight = torch.linalg.solve(centred + penalty, cross)
        return weight.T, target - mean @ weight


def _with_bias(student: Tensor) -> Tensor:
    """Cells (N, h w, C + 1) of a map, the last channel 1."""
    cells = student.flatten(2).transpose(1, 2)
    return torch.cat([cells, torch.ones_like(cells[..., :1])], -1)


@torch.no_grad()
def set_adapter(conv: nn.Conv2d, weight: Tensor, bias: Tensor) -> None:
    """Give a 1x1 convolution with a bias a linear map: weight (C', C) and bias (C',)."""
    assert conv.bias is not None
    conv.weight.copy_(weight.to(conv.weight)[..., None, None])
    conv.bias.copy_(bias.to(conv.bias))
