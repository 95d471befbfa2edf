"""Large losses of absent tags are missing tags, early in training: reject or correct them.

A network learns what is right in its tags before it learns what is wrong by heart. So an absent
tag whose loss is still large after a few passes is suspicious: LL-R leaves it out of this update,
LL-Ct takes it for present.
"""

import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from boxless.errors import ConfigError, unknown_name
from boxless.losses.tag_loss import TagLoss, check_tags, mean_over_images

LargeLossKind = Literal["reject", "correct"]


class LargeLoss(nn.Module):
    """Cross-entropy on tags that gives up on the absent tags with the largest losses.

    ``1/N sum_n sum_k w_nk BCE(sigmoid(z_nk), y_nk)``. Of a batch with T known tags, the
    ``ceil(rate * T)`` absent ones with the largest terms have w = 0 (``reject``: LL-R) or are
    learned as present (``correct``: LL-Ct); all others have w = 1. Kim et al., "Large Loss Matters
    in Weakly Supervised Multi-Label Classification", CVPR 2022 (https://arxiv.org/abs/2206.03740):
    rate = (t - 1) * Delta_rel in pass t, Delta_rel 0.1 to 0.5 %. It differs from the paper in its
    reduction: summed over classes, where theirs is a mean.

    Args:
        kind: ``reject`` or ``correct``.

    Raises:
        ConfigError: There is no such kind.

    Example:
        >>> import torch
        >>> from boxless.losses import LargeLoss
        >>> logits = torch.tensor([[2.0, -2.0, 1.0]], requires_grad=True)
        >>> tags = torch.tensor([[0, 0, 1]])
        >>> LargeLoss("reject")(logits, tags, rate=0.3).backward()
        >>> logits.grad[0, 0].item()  # surely present, says the student: no word against it
        0.0
    """

    def __init__(self, kind: LargeLossKind = "reject") -> None:
        super().__init__()
        if kind not in get_args(LargeLossKind):
            raise ConfigError(unknown_name("kind of large loss", kind, get_args(LargeLossKind)))
        self.kind = kind

    def forward(
        self, logits: Tensor, labels: Tensor, weights: Tensor | None = None, *, rate: float
    ) -> Tensor:
        """Loss of a batch.

        Args:
            logits: (N, K), differentiable.
            labels: (N, K) of 1 (present), 0 (absent or missing), -1 (unknown: left out).
            weights: (N, K) >= 0 by which each tag counts; None = all alike. They do not decide
                which losses are large.
            rate: Share of the known tags in [0, 1] that are given up.

        Returns:
            Scalar.

        Raises:
            ShapeError: The shapes differ or are not (N, K).
            DataError: A label is none of 1, 0, -1, or a weight is below 0.
            ConfigError: The rate is not in [0, 1].
        """
        check_tags(logits, labels, weights, loss=type(self).__name__)
        if not 0 <= rate <= 1:
            raise ConfigError(f"rate must be in [0, 1], found {rate:g}")
        return mean_over_images(self.terms(logits, labels, rate), labels, weights)

    def terms(self, logits: Tensor, labels: Tensor, rate: float) -> Tensor:
        """See `TagLoss.terms`."""
        found = TagLoss().terms(logits, labels)
        large = largest_absent(found.detach(), labels, rate)
        if self.kind == "reject":
            return found.masked_fill(large, 0.0)
        return torch.where(large, functional.softplus(-logits), found)


def largest_absent(terms: Tensor, labels: Tensor, rate: float) -> Tensor:
    """Which absent tags have the largest losses.

    Args:
        terms: (N, K) losses >= 0.
        labels: (N, K) of 1, 0, -1.
        rate: Share of the known tags; rounded up to a whole number of them.

    Returns:
        (N, K) bool; with ties, some more than asked for.
    """
    absent = labels == 0
    count = min(math.ceil(rate * int((labels >= 0).sum())), int(absent.sum()))
    if count == 0:
        return torch.zeros_like(absent)
    losses = terms.masked_fill(~absent, -1.0)
    least = losses.flatten().topk(count).values[-1]
    return losses >= least
