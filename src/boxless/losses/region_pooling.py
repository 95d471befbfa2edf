"""Pool regions from feature maps: max RoI pooling (the paper's) and RoIAlign.

Regions are *unit boxes*, ``(x1, y1, x2, y2)`` as fractions of the view's width and height, ends
exclusive: ``(0, 0, 1, 1)`` is the whole view whatever its size in pixels, and one set of boxes is
valid for teacher, student and every level at once.
"""

from typing import Literal

import torch
from torch import Tensor
from torchvision.ops import roi_align, roi_pool

Pooling = Literal["max", "align"]

SAMPLES = 2
"""Sampling points per bin and axis of RoIAlign, here and in `boxless.losses.region_operators`."""

SNAP = 1024
"""Corners of max pooling are snapped to this part of a pixel before Caffe's rounding."""


def pool_regions(
    features: Tensor, boxes: Tensor, *, bins: int, pooling: Pooling, view_size: int
) -> Tensor:
    """Pool every region to ``bins`` x ``bins`` cells.

    Args:
        features: (N, C, h, w) map of the whole view.
        boxes: (N, R, 4) unit boxes.
        bins: Cells per side.
        pooling: ``max`` (Fast R-CNN; integer bins, bit-equal to the Caffe layer) or ``align``.
        view_size: Side of the square input in pixels; max pooling rounds in map cells from there.

    Returns:
        (N * R, C, bins, bins).
    """
    features = features.to(boxes.dtype)  # maps of mixed precision: no kernel pools bfloat16
    count = boxes.shape[1]
    index = torch.arange(len(boxes), device=boxes.device, dtype=boxes.dtype)
    flat = torch.cat([index.repeat_interleave(count)[:, None], boxes.reshape(-1, 4)], 1)
    h, w = features.shape[-2:]
    if pooling == "align":
        scale = torch.tensor([1, w, h, w, h], device=boxes.device, dtype=boxes.dtype)
        aligned: Tensor = roi_align(features, flat * scale, bins, 1.0, SAMPLES, aligned=True)
        return aligned
    # Caffe's boxes are inclusive corners in input pixels; ours end one pixel later.
    inclusive = flat * view_size
    # Unit boxes carry float32 rounding; without this, corners at half a cell round the wrong way.
    inclusive = (inclusive * SNAP).round() / SNAP
    inclusive[:, 0] = flat[:, 0]
    inclusive[:, 3:] -= 1
    pooled: Tensor = roi_pool(features, inclusive, bins, w / view_size)
    return pooled


def floor_boxes(boxes: Tensor, *, view_size: int, size: int) -> Tensor:
    """Move unit boxes (N, R, 4) to a smaller view as the released ``WsdRoigenSingleScale`` does.

    Inclusive corners in pixels of a view of side `view_size` (672) become ``floor(size * x /
    view_size)``, whole pixels of a view of side `size` (224; method 1.4): a box may grow or shrink
    by a part of a pixel.
    """
    ends = torch.tensor([0, 0, 1, 1], device=boxes.device, dtype=boxes.dtype)
    inclusive = (boxes * view_size * SNAP).round() / SNAP - ends
    return ((inclusive * size / view_size).floor() + ends) / size


def score_weights(scores: Tensor, *, scale: float, bias: float) -> Tensor:
    """Weight (N, R) of each region before the head; 10 and 1 in the published teacher."""
    return scores * scale + bias
