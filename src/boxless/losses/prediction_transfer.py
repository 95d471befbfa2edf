"""Stage 2: the student's predictions towards the teacher's, beside the tags (method 5).

    L = L_p + lambda * L_p'

Poster: ``L_p' = 1/(2N) sum_n || p'^T - p^S ||^2``. Released code: sigmoid cross-entropy of softened
student logits with p'^T, lambda = 1. p'^T comes from `DetectorOutput.image_probabilities` with the
temperatures t^c and t^d (0.5 each in the code: the teacher is sharpened).
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

SoftLossKind = Literal["l2", "bce"]


def l2_soft_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Poster's soft loss.

    Args:
        logits: (N, K) student logits z; p^S = sigmoid(z).
        targets: (N, K), p'^T in [0, 1].

    Returns:
        Scalar ``1/(2N) sum_n sum_k (p'^T - p^S)^2``.
    """
    return (targets - logits.sigmoid()).square().sum() / (2 * len(logits))


def bce_soft_loss(logits: Tensor, targets: Tensor, scale: Tensor | float) -> Tensor:
    """Released code's soft loss.

    Args:
        logits: (N, K) student logits z.
        targets: (N, K), p'^T in [0, 1].
        scale: a = 1 / t of the student, a number or (K,).

    Returns:
        Scalar; its gradient in z is ``a * (sigmoid(a z) - p'^T) / N``.
    """
    terms = functional.binary_cross_entropy_with_logits(logits * scale, targets, reduction="none")
    return terms.sum() / len(logits)


class SoftLoss(nn.Module):
    """L_p', in either form.

    Args:
        kind: ``l2`` or ``bce``.
        classes: K.
        temperature: t of p'^S for ``bce`` (code: 5, a scale of 0.2).
        learn_temperature: Learn one scale a class (code), instead of a fixed one.
    """

    scale: Tensor

    def __init__(
        self, kind: SoftLossKind, *, classes: int, temperature: float, learn_temperature: bool
    ) -> None:
        super().__init__()
        self.kind = kind
        scale = torch.full((classes,), 1 / temperature)
        if learn_temperature:
            self.scale = nn.Parameter(scale)
        else:
            self.register_buffer("scale", scale)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Scalar loss of (N, K) logits towards (N, K) targets."""
        if self.kind == "l2":
            return l2_soft_loss(logits, targets)
        return bce_soft_loss(logits, targets, self.scale)
