"""Hinton distillation for sigmoid outputs: the teacher's image probabilities, softened.

    L = T^2 / N * sum_n sum_k BCE(sigmoid(z^S / T), sigmoid(z^T / T)),   z^T = log(p^T / (1 - p^T))

Hinton, Vinyals, Dean 2015 (https://arxiv.org/abs/1503.02531) soften a softmax; with independent
classes each sigmoid is softened by itself. T^2 keeps the gradient's size independent of T (their
section 2). The detector gives probabilities, not logits, so its logit is recovered from them; no
region is looked at (method 7).
"""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

CLAMP: Final = 1e-4
"""Probabilities are kept this far from 0 and 1 before their logit is taken, as in `tag_loss`."""


def soften(probabilities: Tensor, temperature: float) -> Tensor:
    """Softened probabilities of a teacher.

    Args:
        probabilities: Values in [0, 1], any shape.
        temperature: T > 0; 1 changes nothing but the clamp.

    Returns:
        ``sigmoid(logit(p) / T)``, same shape.
    """
    return torch.sigmoid(torch.logit(probabilities, CLAMP) / temperature)


class HintonLoss(nn.Module):
    """Distance of the student's softened predictions from the teacher's.

    Args:
        temperature: T of both.
    """

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, logits: Tensor, probabilities: Tensor) -> Tensor:
        """Scalar loss.

        Args:
            logits: (N, K), z^S.
            probabilities: (N, K), p^T in [0, 1].
        """
        terms = functional.binary_cross_entropy_with_logits(
            logits / self.temperature, soften(probabilities, self.temperature), reduction="none"
        )
        return self.temperature**2 * terms.sum() / len(logits)
