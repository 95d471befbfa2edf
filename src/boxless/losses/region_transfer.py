"""Stage 1: make the student's maps agree with the teacher's on the weighted regions.

    L_f = 1/(2N) sum_n 1/|R_n| || F^T - F^S ||^2,   F = all of s'_R * RoIPool(map; R), R in R_n

summed over levels (Liu et al., ACM MM 2018, Eq. 3 and 4; https://arxiv.org/abs/1809.05884). Three
forms of the same loss: ``exact`` (RoIAlign in closed form: once the form is built from the regions,
value and gradient cost the same whatever |R| is), ``align`` (RoIAlign, pooled explicitly) and
``max`` (max RoI pooling, the paper's). ``exact`` and ``align`` agree up to rounding.
"""

from typing import Final, Literal

import torch
from torch import Tensor, nn

from boxless.errors import ConfigError, unknown_name
from boxless.losses.region_operators import (
    RegionForm,
    build_region_form,
    region_form_value,
)
from boxless.losses.region_pooling import pool_regions

Form = Literal["exact", "align", "max"]
ADAPTERS: Final = ("auto", "conv1x1", "identity")


def region_loss(  # noqa: PLR0913  (all but two have a name that cannot be mistaken)
    student: Tensor,
    teacher: Tensor,
    student_boxes: Tensor,
    teacher_boxes: Tensor,
    objectness: Tensor,
    mask: Tensor,
    *,
    bins: int,
    form: Form = "exact",
    student_size: int = 224,
    teacher_size: int = 672,
) -> Tensor:
    """Region loss of one level, a scalar.

    Args:
        student: (N, C, h, w) student map (after Psi), differentiable.
        teacher: (N, C, H, W) teacher map.
        student_boxes: (N, R, 4) unit boxes in the student's view.
        teacher_boxes: (N, R, 4) unit boxes of the same regions in the teacher's view.
        objectness: (N, R), s' >= 0; enters squared.
        mask: (N, R) bool, False for padding; |R_n| counts what is True.
        bins: Bins per side.
        form: Which computation.
        student_size: Input side of the student in pixels (``max`` only).
        teacher_size: Input side of the teacher in pixels (``max`` only).
    """
    weights = region_weights(objectness, mask)
    if form == "exact":
        size = (int(student.shape[-2]), int(student.shape[-1]))
        quadratic = build_region_form(
            teacher, size, student_boxes, teacher_boxes, weights, bins=bins
        )
        return form_loss(student, quadratic, mask)
    pooled_teacher = pool_regions(
        teacher, teacher_boxes, bins=bins, pooling=form, view_size=teacher_size
    )
    pooled_student = pool_regions(
        student, student_boxes, bins=bins, pooling=form, view_size=student_size
    )
    distance = (pooled_teacher - pooled_student).square().flatten(1).sum(1).view_as(weights)
    return _average((weights * distance).sum(1), mask)


def region_weights(objectness: Tensor, mask: Tensor) -> Tensor:
    """Weights (N, R) of the squared distances: s'^2, 0 for padding."""
    return objectness.masked_fill(~mask, 0).square()


def form_loss(student: Tensor, quadratic: RegionForm, mask: Tensor) -> Tensor:
    """Region loss from a form built (or cached) before; see `region_loss`."""
    return _average(region_form_value(student, quadratic), mask)


def vector_loss(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """The released code's stage 1: squared distance of region vectors (N, R, D), weighing alike.

    ``1/(2N) sum_n 1/|R_n| sum_R || . ||^2`` (caffe/layers/euclidean_loss_layer.cpp).
    """
    distance = (student - teacher).square().sum(-1).masked_fill(~mask, 0)
    return _average(distance.sum(1), mask)


def _average(per_image: Tensor, mask: Tensor) -> Tensor:
    return (per_image / (2 * mask.sum(1).clamp(min=1))).mean()


class Adapter(nn.Module):
    """Psi: makes a student map comparable with the teacher's; training only.

    Args:
        student_channels: C_S.
        teacher_channels: C_T.
        kind: ``identity``, ``conv1x1``, or ``auto`` (identity where the channels agree).
        directions: (C_T, D) of the teacher's channels, where only these are compared: Psi gives D
            channels. Kept with Psi's weights, which mean nothing without them.

    Raises:
        ConfigError: There is no such kind, or the identity cannot change the channels.
    """

    directions: Tensor | None

    def __init__(
        self,
        student_channels: int,
        teacher_channels: int,
        *,
        kind: str,
        directions: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.register_buffer("directions", directions)
        if directions is not None:
            teacher_channels = int(directions.shape[1])
        if kind not in ADAPTERS:
            raise ConfigError(unknown_name("adapter", kind, ADAPTERS))
        same = student_channels == teacher_channels
        if kind == "identity" and not same:
            raise ConfigError(
                f"adapter = 'identity' needs equal channels, the student's map has"
                f" {student_channels} and the teacher's {teacher_channels}",
                hint="take 'conv1x1' or 'auto'",
            )
        identity = kind == "identity" or (kind == "auto" and same)
        self.map: nn.Module = (
            nn.Identity() if identity else nn.Conv2d(student_channels, teacher_channels, 1)
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, C_S, h, w) to (N, C_T or D, h, w)."""
        mapped: Tensor = self.map(features)
        return mapped


def inverse_scale(spread: Tensor | None, like: Tensor) -> Tensor:
    """Factor (1, C, 1, 1) that divides channels by their spread; ones if there is none."""
    if spread is None:
        return torch.ones(1, 1, 1, 1, dtype=like.dtype, device=like.device)
    return (1 / spread).to(like).view(1, -1, 1, 1)
