"""The exact region form: a loss over any number of pooled regions as one small quadratic form.

RoIAlign is linear in the map: pooled features of all regions are ``A f`` with a fixed matrix A
built from the boxes, f the map as (cells, channels). A region's part of A is separable,
``A_r = Y_r (x) X_r`` with one interpolation matrix per axis. Hence with weights w_r

    sum_r w_r || A_r^T f_T - A_r^S f_S ||^2  =  <f_S, G f_S> - 2 <f_S, H> + c
    G = sum_r w_r (Ys'Ys)_r (x) (Xs'Xs)_r          cells_S x cells_S
    H = [ sum_r w_r (Ys'Yt)_r (x) (Xs'Xt)_r ] f_T   cells_S x channels
    c = <f_T, [ sum_r w_r (Yt'Yt)_r (x) (Xt'Xt)_r ] f_T>

Each bracket is one matrix product of (h h') x R by R x (w w'), so building the form costs more the
more regions there are; evaluating it, value and gradient, costs the same whatever R is. c is
computed on its own (`pooled_energy`): it depends on the teacher alone and is the dearest part.
Equal to explicit RoIAlign (sampling ratio 2, aligned) up to rounding, and computed in full
precision also under mixed precision, because the value is a small difference of large numbers.

For ``c = sum_r w_r || A_r f ||^2`` there are two ways to the same number, the cheaper one is taken.
With few bins the regions are pooled (one matrix product). With many, ``c = <f, K f>`` with
``K = sum_r w_r (Y'Y)_r (x) (X'X)_r``, and both factors are bands: a bin's samples lie close
together, so cells further apart than `reach` never meet. Only the products of rows of the map
within that band are computed.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

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
    channels: Tensor | None = None,
    constant: Tensor | None = None,
) -> RegionForm:
    """Build G, H and c of ``sum_r w_r || . ||^2`` (without 1/2 or 1/R).

    Args:
        teacher: (N, C, H, W) teacher map.
        student_size: (h, w) of the student's map.
        student_boxes: (N, R, 4) unit boxes in the student's view.
        teacher_boxes: (N, R, 4) unit boxes in the teacher's view.
        weights: (N, R) weights w_r >= 0 of the squared distances (s'^2).
        bins: Bins per side of a region.
        channels: What is compared of the teacher's channels; see `compared`.
        constant: (N,) values of c, where they are known: they change with neither crop nor student.
    """
    size = (int(teacher.shape[-2]), int(teacher.shape[-1]))
    with _full_precision(teacher):
        teacher = _at_least_single(teacher)
        ys, xs = _both_axes(student_boxes, student_size, bins)
        yt, xt = _both_axes(teacher_boxes, size, bins)
        if constant is None:
            seen = compared(teacher, channels)
            constant = pooled_energy(seen, yt, xt, teacher_boxes, weights)
        cross = _kernel((ys, yt), (xs, xt), weights)
        target = torch.bmm(cross, teacher.flatten(2).transpose(1, 2))
        if channels is not None:  # of the student's cells, which are fewer
            target = target @ channels if channels.ndim == 2 else target * channels
        return RegionForm(_kernel((ys, ys), (xs, xs), weights), target, constant)


def compared(features: Tensor, channels: Tensor | None) -> Tensor:
    """What is compared of a map (N, C, h, w).

    Args:
        features: The map.
        channels: (C,) factors, or (C, D) directions; None = all as they are.

    Returns:
        (N, C or D, h, w).
    """
    if channels is None:
        return features
    if channels.ndim == 1:
        return features * channels[:, None, None]
    return torch.nn.functional.conv2d(features, channels.T[..., None, None])


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
    if size[0] == size[1]:  # at once: fewer kernels, which a GPU takes longer to start than to run
        low, high = boxes.reshape(*boxes.shape[:-1], 2, 2).unbind(-2)
        columns, rows = axis_matrices(low, high, size=size[0], bins=bins).unbind(-3)
        return rows, columns
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


SMALL_PRODUCTS = 8
"""How much longer a multiplication takes in many small matrix products than in one large one
(measured on a CPU: 10 x 1,280 by 1,280 x 10 against 61 x 100 by 100 x 1,280)."""


def pooled_energy(
    features: Tensor, rows: Tensor, columns: Tensor, boxes: Tensor, weights: Tensor
) -> Tensor:
    """(N,) sums of the weighted squared norms of all pooled regions.

    Args:
        features: (N, C, H, W) map.
        rows: (N, R, B, H) interpolation matrices of the vertical axis.
        columns: (N, R, B, W) interpolation matrices of the horizontal axis.
        boxes: (N, R, 4) unit boxes that the matrices were made from.
        weights: (N, R) weights w_r >= 0.
    """
    regions, bins = int(rows.shape[1]), int(rows.shape[2])
    channels, height, width = (int(side) for side in features.shape[1:])
    if not regions:
        return features.new_zeros(len(features))
    extents = (boxes[..., 2:] - boxes[..., :2]).abs().flatten(0, 1).amax(0).tolist()
    across, down = (
        reach(extent, size=size, bins=bins)
        for extent, size in zip(extents, (width, height), strict=True)
    )
    # Multiplications of either way.
    pooling = regions * bins * bins * height * width * channels
    band = (down + 1) * height * width * (width * channels + (across + 1) * regions)
    if pooling <= SMALL_PRODUCTS * band:
        return _by_pooling(features, rows, columns, weights)
    return _by_bands(features, rows, columns, weights, down, across)


def reach(extent: float, *, size: int, bins: int) -> int:
    """Most cells between two that one bin samples, of a region `extent` (part of the map) long."""
    spacing = extent * size / (bins * SAMPLES) * (SAMPLES - 1)
    return min(size - 1, math.ceil(spacing) + 1)


def _by_pooling(features: Tensor, rows: Tensor, columns: Tensor, weights: Tensor) -> Tensor:
    cells = features.flatten(2).transpose(1, 2)
    operator = (rows[:, :, :, None, :, None] * columns[:, :, None, :, None, :]).flatten(4)
    pooled = torch.bmm(operator.flatten(1, 3), cells)
    return (pooled.square().sum(-1).view(*weights.shape, -1).sum(-1) * weights).sum(1)


def _by_bands(
    features: Tensor, rows: Tensor, columns: Tensor, weights: Tensor, down: int, across: int
) -> Tensor:
    """``<f, K f>``; pairs of cells that lie below each other count twice instead of both ways."""
    lines = features.permute(0, 2, 3, 1).contiguous()  # (N, H, W, C)
    height, width = int(lines.shape[1]), int(lines.shape[2])
    vertical = _band(rows, down) * weights[..., None, None]
    horizontal = _band(columns, across)
    kernel = torch.bmm(vertical.flatten(2).transpose(1, 2), horizontal.flatten(2))
    kernel = kernel.view(-1, height, down + 1, width, across + 1)
    left, right, inside = _pairs(width, across, features.device)
    total = features.new_zeros(len(features))
    for step in range(down + 1):
        products = lines[:, : height - step] @ lines[:, step:].transpose(-1, -2)
        both = products[..., left, right] + products[..., right, left] * (right > left)
        part = (kernel[:, : height - step, step] * (both * inside)).sum((1, 2, 3))
        total = total + part * (2 if step else 1)
    return total


def _band(matrices: Tensor, distance: int) -> Tensor:
    """``A'A`` (.., B, n) at distances 0 … `distance` from the diagonal, (.., n, distance + 1)."""
    squared = matrices.transpose(-1, -2) @ matrices
    left, right, inside = _pairs(int(matrices.shape[-1]), distance, matrices.device)
    return squared[..., left, right] * inside


def _pairs(size: int, distance: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Pairs of cells (n, distance + 1) ``i`` and ``i + d``, and which of them lie on the map."""
    left = torch.arange(size, device=device)[:, None].expand(size, distance + 1)
    right = left + torch.arange(distance + 1, device=device)
    return left, right.clamp(max=size - 1), right < size
