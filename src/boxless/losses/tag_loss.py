"""The losses on tags alone: the teacher's on probabilities, the student's on logits (L_p).

Both are summed over classes and averaged over images (docs/decisions, row 19 of the method), and
leave unknown labels (-1) out. Losses for tags that are missing or wrong share that frame: they
differ in their terms (N, K).
"""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from boxless.errors import DataError
from boxless.losses.checks import check_rows, values_trusted

CLAMP = 1e-4
"""Probabilities closer to 0 or 1 than this count as this, in value and in the gradient's
divisor."""


class TagLoss(nn.Module):
    """Loss of a student on tags alone, L_p: sigmoid cross-entropy that leaves unknown tags out.

    ``1/N sum_n sum_k BCE(sigmoid(z_nk), y_nk)``, summed over classes and averaged over images (Liu
    et al., ACM MM 2018, https://arxiv.org/abs/1809.05884; their released code's reduction).

    Example:
        >>> import torch
        >>> from boxless.losses import TagLoss
        >>> logits = torch.zeros(1, 3, requires_grad=True)
        >>> value = TagLoss()(logits, torch.tensor([[1, 0, -1]]))  # the last tag is unknown
        >>> value.backward()
        >>> f"{value:.3f}", logits.grad.tolist()
        ('1.386', [[-0.5, 0.5, 0.0]])
    """

    def forward(self, logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
        """Loss of a batch.

        Args:
            logits: (N, K), differentiable.
            labels: (N, K) of 1 (present), 0 (absent), -1 (unknown).
            weights: (N, K) >= 0 by which each tag counts; None = all alike.

        Returns:
            Scalar.

        Raises:
            ShapeError: The shapes differ or are not (N, K).
            DataError: A label is none of 1, 0, -1, or a weight is below 0.
        """
        check_tags(logits, labels, weights, loss=type(self).__name__)
        return mean_over_images(self.terms(logits, labels), labels, weights)

    def terms(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Loss (N, K) of every tag, not weighted; what stands at unknown ones has no meaning."""
        return functional.binary_cross_entropy_with_logits(
            logits, labels.clamp(min=0).to(logits.dtype), reduction="none"
        )


class _ClampedLog(torch.autograd.Function):
    """``log(max(p, c))`` with gradient ``1 / max(p, c)`` everywhere, also below c."""

    @staticmethod
    def forward(ctx: Any, probability: Tensor) -> Tensor:
        clamped = probability.clamp(min=CLAMP)
        ctx.save_for_backward(clamped)
        return clamped.log()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (clamped,) = ctx.saved_tensors
        return cast("Tensor", grads[0] / clamped)


def clamped_log(probability: Tensor) -> Tensor:
    """Logarithm whose gradient does not vanish at the clamp.

    Autograd through ``clamp`` gives a probability below the clamp no gradient at all, so a missed
    positive would never be learned. The authors' Caffe layer divides by the clamped value instead
    (caffe/layers/cross_entropy_loss_layer.cpp, lines 57-94); so does this.

    Args:
        probability: Values in [0, 1], any shape.

    Returns:
        Same shape.
    """
    return cast("Tensor", _ClampedLog.apply(probability))


def detector_loss(
    probabilities: Tensor,
    labels: Tensor,
    include: Tensor | None = None,
    *,
    images: float | None = None,
) -> Tensor:
    """Teacher loss: cross-entropy of summed region scores with the tags.

    ``L = -1/N sum_n sum_k [ y log max(p, 1e-4) + (1 - y) log max(1 - p, 1e-4) ]``

    Args:
        probabilities: (N, K) in [0, 1].
        labels: (N, K) of 1, 0, -1.
        include: (N,) bool; images left out count neither in the sum nor in N (cross-fitting).
        images: What the sum is divided by; None = the number of images that are included.

    Returns:
        Scalar; 0 if no image is included.

    Source:
        Bilen, Vedaldi, CVPR 2016, Eq. 5 (https://arxiv.org/abs/1511.02853); clamp and reduction are
        those of the released code of Liu et al. (https://arxiv.org/abs/1809.05884).

    Example:
        >>> import torch
        >>> from boxless.losses import detector_loss
        >>> value = detector_loss(torch.tensor([[0.5, 0.5, 0.9]]), torch.tensor([[1, 0, -1]]))
        >>> f"{value:.3f}"  # the last tag is unknown
        '1.386'
    """
    known = labels >= 0
    if include is not None:
        known = known & include[:, None]
    positive = labels == 1
    terms = torch.where(positive, clamped_log(probabilities), clamped_log(1 - probabilities))
    if images is None:
        images = len(labels) if include is None else int(include.sum())
    return -(terms * known).sum() / (images or 1)


def mean_over_images(
    terms: Tensor,
    labels: Tensor,
    weights: Tensor | None = None,
    *,
    images: float | None = None,
) -> Tensor:
    """The frame of all losses on tags: terms of known tags, summed and divided by the images.

    Args:
        terms: (N, K), finite.
        labels: (N, K) of 1, 0, -1.
        weights: (N, K) by which each tag counts; None = all alike.
        images: What the sum is divided by; None = N.

    Returns:
        Scalar; 0 if no tag is known.
    """
    counted = (labels >= 0).to(terms.dtype)
    if weights is not None:
        counted = counted * weights
    return (terms * counted).sum() / ((len(labels) if images is None else images) or 1)


def check_tags(logits: Tensor, labels: Tensor, weights: Tensor | None, *, loss: str) -> None:
    """Refuse what is no batch of tags.

    Args:
        logits: Should be (N, K).
        labels: Should be (N, K) of 1, 0, -1.
        weights: Should be (N, K), none below 0, or None.
        loss: Name for messages.

    Raises:
        ShapeError: The shapes differ or are not (N, K).
        DataError: A label is none of 1, 0, -1, or a weight is below 0.
    """
    check_rows(logits, labels, ("logits", "labels"), loss=loss)
    if values_trusted():
        return
    strange = (labels != 0) & (labels.abs() != 1)
    if bool(strange.any()):
        raise DataError(
            f"{loss}: labels must be 1, 0 or -1, found {labels[strange][0].item()}",
            hint="soft targets belong to ClassAwareLoss or SigmoidDistillationLoss",
        )
    if weights is None:
        return
    check_rows(logits, weights, ("logits", "weights"), loss=loss)
    sound = weights >= 0  # NaN is not
    if not bool(sound.all()):
        raise DataError(
            f"{loss}: weights must be >= 0, found {weights[~sound][0].item():g}",
            hint="a tag that is not to count has the weight 0, or the label -1",
        )
