"""The frame of losses that compare whole maps.

A coarse student map is compared with a fine teacher map cell by cell. Each cell of the student
covers a box of the teacher's map; the teacher's (piecewise constant) map is averaged exactly over
that box. With three times as many cells a side and the same view this is 3x3 average pooling; with
other sizes and crops it stays exact.
"""

import torch
from torch import Tensor, nn

from boxless.errors import ShapeError
from boxless.losses.checks import check_maps


def pool_view(features: Tensor, views: Tensor, size: tuple[int, int]) -> Tensor:
    """Average maps (N, C, H, W) of whole images over an even grid of ``size`` cells on each view.

    `views` (N, 4) are unit boxes in the map's image; outside the map its border is repeated.
    """
    height, width = (int(side) for side in features.shape[-2:])
    rows = _shares(views[:, 1], views[:, 3], height, size[0]).to(features)
    columns = _shares(views[:, 0], views[:, 2], width, size[1]).to(features)
    pooled: Tensor = torch.einsum("nij,ncjk,nlk->ncil", rows, features, columns)
    return pooled


def on_cells(teacher: Tensor, student: Tensor, view: Tensor | None) -> Tensor:
    """The teacher's map (N, C_T, H, W) on the student's cells, without gradient.

    `view` (N, 4) is the unit box of the student's view in the teacher's; None = the same view.
    Raises `ShapeError` for another shape.
    """
    size = (int(student.shape[-2]), int(student.shape[-1]))
    if view is None:
        view = teacher.new_tensor([0, 0, 1, 1]).expand(len(teacher), 4)
    elif view.shape != (len(teacher), 4):
        raise ShapeError(
            f"teacher_view must be ({len(teacher)}, 4), found {tuple(view.shape)}",
            hint="one unit box (x1, y1, x2, y2) per image: the student's view in the teacher's",
        )
    return pool_view(teacher.detach(), view, size)


def _shares(low: Tensor, high: Tensor, cells: int, bins: int) -> Tensor:
    """Share (N, bins, cells) of each cell in each bin of the unit intervals [low, high]."""
    start, end = (edge.double()[:, None] * cells for edge in (low, high))
    steps = torch.arange(bins + 1, device=low.device, dtype=torch.float64) / bins
    edges = start + (end - start) * steps
    inner = torch.arange(cells + 1, device=low.device, dtype=torch.float64)
    inner[0], inner[-1] = -torch.inf, torch.inf  # the border cells reach beyond the map
    left = torch.maximum(edges[:, :-1, None], inner[:-1])
    right = torch.minimum(edges[:, 1:, None], inner[1:])
    return (right - left).clamp(min=0) / (edges[:, 1:] - edges[:, :-1])[..., None]


class MapLoss(nn.Module):
    """A loss of a student's map; the teacher's is averaged over the student's cells first.

    Attributes:
        channels: C_S and C_T that it was built for; None = any.
    """

    channels: tuple[int, int] | None = None

    def forward(
        self, student_map: Tensor, teacher_map: Tensor, teacher_view: Tensor | None = None
    ) -> Tensor:
        """Loss of a batch.

        Args:
            student_map: (N, C_S, h, w), differentiable.
            teacher_map: (N, C_T, H, W); no gradient reaches it.
            teacher_view: (N, 4) unit box of the student's view in the teacher's; None = the same.

        Returns:
            Scalar.

        Raises:
            ShapeError: A shape does not fit.
        """
        check_maps(student_map, teacher_map, self.channels, loss=type(self).__name__)
        return self.compare(student_map, on_cells(teacher_map, student_map, teacher_view))

    def compare(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Loss of maps (N, C_S, h, w) and (N, C_T, h, w)."""
        raise NotImplementedError
