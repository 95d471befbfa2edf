"""ASL: absent tags that are easy count little, and those that look wrong hardly at all.

With many classes nearly all tags are absent. Their focusing weight p^g keeps the easy ones from
outweighing the present tags, and the margin takes them out of the loss altogether.
"""

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from boxless.errors import ConfigError
from boxless.losses.tag_loss import TagLoss

LEAST: Final = 1e-8
"""Probabilities below this count as this in the logarithm, as in the released code."""


class AsymmetricLoss(TagLoss):
    """Asymmetric loss (ASL) of a student on tags, for data where most tags are absent.

    ``1/N sum_n sum_k l_nk`` with ``l = -(1 - p)^g+ log p`` for a present tag and
    ``l = -q^g- log(1 - q)``, ``q = max(p - m, 0)``, for an absent one; p = sigmoid(z). Ridnik et
    al., "Asymmetric Loss For Multi-Label Classification", ICCV 2021
    (https://arxiv.org/abs/2009.14119). It differs from the paper in the division by N, and from the
    training script of the released code in that the weights ``(1 - p)^g+`` and ``q^g-`` have a
    gradient, as in the paper's analysis. With g+ = g- = m = 0 it is `TagLoss`.

    Args:
        focus_present: g+, 0 or at least 1.
        focus_absent: g-, 0 or at least 1.
        margin: m in [0, 1).

    Raises:
        ConfigError: A value is out of its range.

    Example:
        >>> import torch
        >>> from boxless.losses import AsymmetricLoss
        >>> logits = torch.tensor([[0.0, -4.0]], requires_grad=True)
        >>> AsymmetricLoss()(logits, torch.tensor([[1, 0]])).backward()
        >>> logits.grad[0, 0].item(), logits.grad[0, 1].item() == 0  # absent, within the margin
        (-0.5, True)
    """

    def __init__(
        self, *, focus_present: float = 0.0, focus_absent: float = 4.0, margin: float = 0.05
    ) -> None:
        super().__init__()
        for name, value in (("focus_present", focus_present), ("focus_absent", focus_absent)):
            if value and not value >= 1:  # the slope of p^g at 0 is infinite between them
                raise ConfigError(f"{name} must be 0 or at least 1, found {value:g}")
        if not 0 <= margin < 1:
            raise ConfigError(f"margin must be in [0, 1), found {margin:g}")
        self.focus_present, self.focus_absent, self.margin = focus_present, focus_absent, margin

    def terms(self, logits: Tensor, labels: Tensor) -> Tensor:
        """See `TagLoss.terms`."""
        other = torch.sigmoid(-logits)
        present = -functional.logsigmoid(logits) * other**self.focus_present
        spared = (other + self.margin).clamp(LEAST, 1.0)
        absent = -spared.log() * (1 - spared) ** self.focus_absent
        return torch.where(labels == 1, present, absent)
