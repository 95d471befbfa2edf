"""Weighted energy of pooled regions, the constant c of the exact region form.

    c = sum_r w_r || A_r f ||^2,   A_r = Y_r (x) X_r  (RoIAlign, `boxless.losses.region_operators`)

Two ways to the same number, the cheaper one is taken. With few bins the regions are pooled (one
matrix product). With many, ``c = <f, K f>`` with ``K = sum_r w_r (Y'Y)_r (x) (X'X)_r``, and both
factors are bands: a bin's samples lie close together, so cells further apart than `reach` never
meet. Only the products of rows of the map within that band are computed.
"""

import math

import torch
from torch import Tensor

from boxless.losses.region_pooling import SAMPLES

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
