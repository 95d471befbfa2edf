"""Hinton distillation for sigmoid outputs: the teacher's image probabilities, softened.

Hinton, Vinyals, Dean 2015 (https://arxiv.org/abs/1503.02531) soften a softmax; with independent
classes each sigmoid is softened by itself. T^2 keeps the gradient's size independent of T (their
section 2). The detector gives probabilities, so its logit is recovered from them (method 7).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from boxless.errors import ConfigError
from boxless.losses.checks import check_probabilities, check_rows
from boxless.losses.tag_loss import CLAMP


def soften(probabilities: Tensor, temperature: float) -> Tensor:
    """``sigmoid(logit(p) / T)`` of probabilities; T = 1 changes nothing but the clamp."""
    return torch.sigmoid(torch.logit(probabilities, CLAMP) / temperature)


class SigmoidDistillationLoss(nn.Module):
    """Distance of a student's softened predictions from a teacher's, each class by itself.

    ``T^2 / N * sum_n sum_k BCE(sigmoid(z^S / T), sigmoid(logit(p^T) / T))``: Hinton, Vinyals, Dean,
    "Distilling the Knowledge in a Neural Network", 2015 (https://arxiv.org/abs/1503.02531). It
    differs from the paper in its sigmoids, where the paper has a softmax. Add it to `TagLoss`.

    Args:
        temperature: T > 0 of both.

    Raises:
        ConfigError: T is not above 0.

    Example:
        >>> import torch
        >>> from boxless.losses import SigmoidDistillationLoss
        >>> loss = SigmoidDistillationLoss(temperature=2.0)
        >>> logits = torch.tensor([[0.0, 4.0]], requires_grad=True)
        >>> loss(logits, torch.tensor([[0.5, 0.1]])).backward()
        >>> logits.grad[0, 0].item()  # already agrees
        0.0
    """

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        if temperature <= 0:
            raise ConfigError(f"temperature must be above 0, found {temperature}")
        self.temperature = temperature

    def forward(self, logits: Tensor, probabilities: Tensor) -> Tensor:
        """Loss of a batch.

        Args:
            logits: (N, K), z^S, differentiable.
            probabilities: (N, K), p^T in [0, 1].

        Returns:
            Scalar, summed over classes and averaged over images.

        Raises:
            ShapeError: The shapes differ or are not (N, K).
            NumericsError: A probability is not in [0, 1].
        """
        name = type(self).__name__
        check_rows(logits, probabilities, ("logits", "probabilities"), loss=name)
        check_probabilities(probabilities, name="probabilities", loss=name)
        terms = functional.binary_cross_entropy_with_logits(
            logits / self.temperature, soften(probabilities, self.temperature), reduction="none"
        )
        return self.temperature**2 * terms.sum() / len(logits)
