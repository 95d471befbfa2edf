"""The exact region form: a loss over any number of pooled regions as one small quadratic form.

RoIAlign is linear in the map: pooled features of all regions are ``A f`` with a fixed matrix A
built from the boxes, f the map as (cells, channels). A region's part of A is separable,
``A_r = Y_r (x) X_r`` with one interpolation matrix an axis. Hence with weights w_r

    sum_r w_r || A_r^T f_T - A_r^S f_S ||^2  =  <f_S, G f_S> - 2 <f_S, H> + c
    G = sum_r w_r (Ys'Ys)_r (x) (Xs'Xs)_r          cells_S x cells_S
    H = [ sum_r w_r (Ys'Yt)_r (x) (Xs'Xt)_r ] f_T   cells_S x channels
    c = <f_T, [ sum_r w_r (Yt'Yt)_r (x) (Xt'Xt)_r ] f_T>

Each bracket is one matrix product of (h h') x R by R x (w w'), so building the form costs more the
more regions there are; evaluating it, value and gradient, costs the same whatever R is. c is
computed on its own (`boxless.losses.region_energy`): it depends on the teacher alone and is the
dearest part. Equal to explicit RoIAlign (sampling ratio 2, aligned) up to
rounding, and computed in full precision also under mixed precision, because the value is a small
difference of large numbers.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from boxless.losses.region_energy import pooled_energy
from boxless.losses.region_pooling import SAMPLES


@dataclass(frozen=True, slots=True)
class RegionForm:
    """Region loss of a batch as a quadratic form: G (N, hw, hw), H (N, hw, C) and c (N,)."""

    gram: Tensor
    target: Tensor
    constant: Tensor


def axis_matrices(low: Tensor, high: Tensor, *, size: int, bins: int) -> Tensor:
    """Interpolation matrices (N, R, bins, size) of RoIAlign along one axis.

    A bin is the mean of `SAMPLES` bilinear samples, which are clamped to the map and vanish more
    than one cell outside it, as in torchvision.

    Args:
        low: (N, R) unit coordinates where the regions begin.
        high: (N, R) unit coordinates where they end.
        size: Cells of the map along the axis.
        bins: Bins along the axis.
    """
    steps = torch.arange(bins * SAMPLES, device=low.device, dtype=low.dtype)
    fraction = (steps + 0.5) / (bins * SAMPLES)
    start, extent = (low * size - 0.5)[..., None], ((high - low) * size)[..., None]
    points = start + extent * fraction
    inside = (points >= -1) & (points <= size)
    points = points.clamp(0, size - 1).masked_fill(~inside, -1)  # a cell away from the first
    cells = torch.arange(size, device=low.device, dtype=low.dtype)
    hat = (points[..., None] - cells).abs_().neg_().add_(1).clamp_(min=0)
    return hat.view(*low.shape, bins, SAMPLES, size).sum(-2).div_(SAMPLES)


def region_means(features: Tensor, boxes: Tensor, *, bins: int) -> Tensor:
    """RoIAlign of (N, C, h, w) averaged over its bins: (N, R, C), without pooling each bin."""
    size = (int(features.shape[-2]), int(features.shape[-1]))
    rows, columns = (
        axis.mean(-2) for axis in _both_axes(boxes, size, bins)
    )  # (N, R, h), (N, R, w)
    weights = (rows[..., :, None] * columns[..., None, :]).flatten(2)
    return torch.bmm(weights, features.flatten(2).transpose(1, 2))


def build_region_form(
    teacher: Tensor,
    student_size: tuple[int, int],
    student_boxes: Tensor,
    teacher_boxes: Tensor,
    weights: Tensor,
    *,
    bins: int,
) -> RegionForm:
    """Build G, H and c of ``sum_r w_r || . ||^2`` (without 1/2 or 1/R).

    Args:
        teacher: (N, C, H, W) teacher map.
        student_size: (h, w) of the student's map.
        student_boxes: (N, R, 4) unit boxes in the student's view.
        teacher_boxes: (N, R, 4) unit boxes in the teacher's view.
        weights: (N, R) weights w_r >= 0 of the squared distances (s'^2).
        bins: Bins per side of a region.
    """
    size = (int(teacher.shape[-2]), int(teacher.shape[-1]))
    with _full_precision(teacher):
        teacher = _at_least_single(teacher)
        ys, xs = _both_axes(student_boxes, student_size, bins)
        yt, xt = _both_axes(teacher_boxes, size, bins)
        constant = pooled_energy(teacher, yt, xt, teacher_boxes, weights)
        cross = _kernel((ys, yt), (xs, xt), weights)
        target = torch.bmm(cross, teacher.flatten(2).transpose(1, 2))
        return RegionForm(_kernel((ys, ys), (xs, xs), weights), target, constant)


def region_form_value(student: Tensor, form: RegionForm) -> Tensor:
    """(N,) values ``<f, G f> - 2 <f, H> + c`` of a map (N, C, h, w); differentiable once."""
    with _full_precision(student):
        cells = _at_least_single(student).flatten(2).transpose(1, 2)
        value: Tensor = _Quadratic.apply(cells, form.gram, form.target)
        return value + form.constant


class _Quadratic(torch.autograd.Function):
    """``<f, G f> - 2 <f, H>``; one matrix product serves value and gradient, as G is symmetric."""

    @staticmethod
    def forward(ctx: Any, cells: Tensor, gram: Tensor, target: Tensor) -> Tensor:
        """Values (N,) of maps (N, cells, C)."""
        half_gradient = torch.baddbmm(target, gram, cells, beta=-1)
        ctx.save_for_backward(half_gradient)
        return ((half_gradient - target) * cells).sum((1, 2))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None]:
        """Gradient ``2 (G f - H)``; the form itself is a constant."""
        (half_gradient,) = ctx.saved_tensors
        return half_gradient * (2 * upstream)[:, None, None], None, None


def _full_precision(like: Tensor) -> torch.autocast:
    """A context without mixed precision."""
    return torch.autocast(like.device.type, enabled=False)


def _at_least_single(values: Tensor) -> Tensor:
    return values if values.dtype == torch.float64 else values.float()


def _both_axes(boxes: Tensor, size: tuple[int, int], bins: int) -> tuple[Tensor, Tensor]:
    x1, y1, x2, y2 = boxes.unbind(-1)
    return (
        axis_matrices(y1, y2, size=size[0], bins=bins),
        axis_matrices(x1, x2, size=size[1], bins=bins),
    )


def _kernel(rows: tuple[Tensor, Tensor], columns: tuple[Tensor, Tensor], weights: Tensor) -> Tensor:
    """``sum_r w_r (Ya' Yb)_r (x) (Xa' Xb)_r`` as (N, ha * wa, hb * wb)."""
    y = rows[0].transpose(-1, -2) @ rows[1]  # (N, R, ha, hb)
    x = columns[0].transpose(-1, -2) @ columns[1]  # (N, R, wa, wb)
    product = torch.bmm((y.flatten(2) * weights[..., None]).transpose(1, 2), x.flatten(2))
    ha, hb, wa, wb = *y.shape[-2:], *x.shape[-2:]
    return product.view(-1, ha, hb, wa, wb).permute(0, 1, 3, 2, 4).reshape(-1, ha * wa, hb * wb)
