"""EM with asymmetric pseudo-labels: an absent tag says nothing until the student itself is sure.

Absent tags are taken for unknown: the loss rewards uncertainty about them instead of teaching that
they are absent. Later the least likely ones become soft negative pseudo-labels; positive ones are
never made.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from boxless.errors import ConfigError, ShapeError
from boxless.losses.checks import check_probabilities
from boxless.losses.tag_loss import check_tags, mean_over_images


class EntropyMaximizationLoss(nn.Module):
    """Entropy maximization (EM) with asymmetric pseudo-labels (APL), for few tags per image.

    ``1/N sum_n sum_k l_nk`` with ``l = -log p`` for a present tag, ``l = -alpha H(p)`` for an
    absent one and ``l = beta BCE(p, q)`` for one with the pseudo-label q; p = sigmoid(z),
    ``H(p) = -p log p - (1 - p) log(1 - p)``. Zhou et al., "Acknowledging the Unknown for
    Multi-label Learning with Single Positive Labels", ECCV 2022
    (https://arxiv.org/abs/2203.16219). It differs from the paper in its reduction: summed over
    classes, where theirs is a mean. It may be below 0.

    Args:
        alpha: Weight of the entropy, >= 0 (paper: 0.2 on VOC, 0.1 on COCO and NUS-WIDE).
        beta: Weight of pseudo-labels, >= 0 (paper: 0.02 on VOC, 0.9 on COCO, 0.2 on NUS-WIDE).

    Raises:
        ConfigError: A weight is below 0.

    Example:
        >>> import torch
        >>> from boxless.losses import EntropyMaximizationLoss
        >>> logits = torch.tensor([[0.0, 0.0, 2.0]], requires_grad=True)
        >>> EntropyMaximizationLoss()(logits, torch.tensor([[1, 0, 0]])).backward()
        >>> logits.grad[0, :2].tolist(), logits.grad[0, 2].item() > 0  # back towards 1/2
        ([-0.5, 0.0], True)
    """

    def __init__(self, alpha: float = 0.2, beta: float = 0.02) -> None:
        super().__init__()
        for name, value in (("alpha", alpha), ("beta", beta)):
            if not value >= 0:
                raise ConfigError(f"{name} must be at least 0, found {value:g}")
        self.alpha, self.beta = alpha, beta

    def forward(
        self,
        logits: Tensor,
        labels: Tensor,
        weights: Tensor | None = None,
        *,
        pseudo: Tensor | None = None,
    ) -> Tensor:
        """Loss of a batch.

        Args:
            logits: (N, K), differentiable.
            labels: (N, K) of 1 (present), 0 (nothing known), -1 (left out altogether).
            weights: (N, K) >= 0 by which each tag counts; None = all alike.
            pseudo: (N, K) soft pseudo-labels q in [0, 1] of tags that are 0, -1 where there is
                none; None = there are none at all.

        Returns:
            Scalar.

        Raises:
            ShapeError: The shapes differ or are not (N, K).
            DataError: A label is none of 1, 0, -1, or a weight is below 0.
            NumericsError: A pseudo-label is neither in [0, 1] nor -1.
        """
        name = type(self).__name__
        check_tags(logits, labels, weights, loss=name)
        if pseudo is not None:
            if pseudo.shape != logits.shape:
                raise ShapeError(
                    f"{name}: pseudo must be {tuple(logits.shape)}, found {tuple(pseudo.shape)}"
                )
            check_probabilities(pseudo[pseudo != -1], name="pseudo", loss=name)
        return mean_over_images(self.terms(logits, labels, pseudo), labels, weights)

    def terms(self, logits: Tensor, labels: Tensor, pseudo: Tensor | None = None) -> Tensor:
        """See `boxless.losses.TagLoss.terms`."""
        # Of a logit z: H(sigmoid(z)) = softplus(z) - z sigmoid(z).
        entropy = functional.softplus(logits) - logits * logits.sigmoid()
        absent = -self.alpha * entropy
        if pseudo is not None:
            towards = functional.softplus(logits) - logits * pseudo
            absent = torch.where(pseudo >= 0, self.beta * towards, absent)
        return torch.where(labels == 1, functional.softplus(-logits), absent)
