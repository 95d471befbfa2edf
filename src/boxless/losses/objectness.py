"""s': how much a region counts, one class-agnostic number per box, from the teacher (method 4.3).

The paper's formula is unknown; unused fields of the released code (``top_cls = 10``, ``norm_type``)
suggest the default here: sum the region scores over the 10 classes the teacher believes in most,
then divide by the best region's sum.
"""

from typing import Literal

import torch
from torch import Tensor
from torchvision.ops import nms

Aggregate = Literal["sum_topk", "sum_all", "max", "edge_boxes", "uniform"]
Normalize = Literal["max", "sum", "l2", "none"]


def objectness(
    region_scores: Tensor,
    proposal_scores: Tensor,
    mask: Tensor,
    *,
    aggregate: Aggregate = "sum_topk",
    top_classes: int = 10,
    normalize: Normalize = "max",
) -> Tensor:
    """Objectness s' of every region.

    Args:
        region_scores: (N, R, K), S of the teacher.
        proposal_scores: (N, R), used by ``edge_boxes`` (what the released code does).
        mask: (N, R) bool, False for padding.
        aggregate: How the classes of a region are joined.
        top_classes: Number of classes for ``sum_topk``.
        normalize: Over the regions of an image.

    Returns:
        (N, R) values >= 0; 0 for padding. With ``max`` the best region has 1.

    Source:
        The paper names s' without its formula (Liu et al., ACM MM 2018,
        https://arxiv.org/abs/1809.05884); the module's text says what is behind the default.

    Example:
        >>> import torch
        >>> from boxless.losses import objectness
        >>> scores = torch.tensor([[[0.4, 0.1], [0.2, 0.0], [0.1, 0.0]]])  # 3 regions, 2 classes
        >>> mask = torch.tensor([[True, True, False]])
        >>> objectness(scores, torch.ones(1, 3), mask)
        tensor([[1.0000, 0.4000, 0.0000]])
    """
    match aggregate:
        case "sum_topk":
            count = min(top_classes, region_scores.shape[-1])
            best = region_scores.sum(1).topk(count, dim=-1).indices
            raw = region_scores.gather(2, best[:, None].expand(-1, mask.shape[1], -1)).sum(-1)
        case "sum_all":
            raw = region_scores.sum(-1)
        case "max":
            raw = region_scores.amax(-1)
        case "edge_boxes":
            raw = proposal_scores
        case "uniform":
            raw = torch.ones_like(proposal_scores)
    raw = raw.masked_fill(~mask, 0)
    match normalize:
        case "max":
            divisor = raw.amax(1, keepdim=True)
        case "sum":
            divisor = raw.sum(1, keepdim=True)
        case "l2":
            divisor = raw.norm(dim=1, keepdim=True)
        case "none":
            return raw
    return raw / divisor.clamp(min=1e-12)


def weigh_whole_image(weights: Tensor, mask: Tensor, share: float) -> Tensor:
    """Give the last region of each image, the whole image, a weight relative to all others.

    Args:
        weights: (N, R), s'.
        mask: (N, R) bool, False for padding (which stands at the end).
        share: Its s'^2 divided by the sum of s'^2 of the other regions.
    """
    last = (mask.sum(1) - 1).clamp(min=0)[:, None]
    others = weights.scatter(1, last, 0.0)
    total = others.square().sum(1, keepdim=True)
    return others.scatter(1, last, (share * total).sqrt())


def select_by_nms(boxes: Tensor, scores: Tensor, mask: Tensor, *, iou: float, keep: int) -> Tensor:
    """Hard selection of table 4's "NMS proposals" row: s' becomes 1 for kept boxes, else 0.

    Args:
        boxes: (N, R, 4).
        scores: (N, R) objectness.
        mask: (N, R) bool.
        iou: Threshold of class-agnostic NMS (decision: 0.4, WSDDN's).
        keep: Boxes kept at most (decision: 50).

    Returns:
        (N, R) of 0 and 1.

    Example:
        >>> import torch
        >>> from boxless.losses import select_by_nms
        >>> boxes = torch.tensor([[[0, 0, 0.5, 0.5], [0, 0, 0.5, 0.6], [0.5, 0.5, 1, 1]]])
        >>> mask = torch.ones(1, 3, dtype=torch.bool)
        >>> select_by_nms(boxes, torch.tensor([[0.9, 0.8, 0.1]]), mask, iou=0.4, keep=50)
        tensor([[1., 0., 1.]])
    """
    selected = torch.zeros_like(scores)
    for row, (box, score, valid) in enumerate(zip(boxes, scores, mask, strict=True)):
        index = valid.nonzero()[:, 0]
        kept = nms(box[index], score[index], iou)[:keep]
        selected[row, index[kept]] = 1
    return selected
