"""BoostLU: what speaks for a class counts several times, cell by cell, before it is pooled.

A network that was trained with missing tags looks at the same places as one trained with all of
them, but scores them lower. Boosting the positive scores of its class maps makes up for that.
"""

import torch
from torch import Tensor, nn

from boxless.errors import ConfigError


class BoostLU(nn.Module):
    """Boosted linear unit on class maps: ``x`` where x <= 0, ``alpha * x`` above.

    The logit of a class is the mean of its boosted map, in training and in use. Kim et al.,
    "Bridging the Gap between Model Explanations in Partially Annotated Multi-label Classification",
    CVPR 2023 (https://arxiv.org/abs/2304.01804); there it is trained with `LargeLoss`. As in the
    released code, the last layer's bias is in the map.

    Args:
        alpha: At least 1; 1 changes nothing, the paper has 5.

    Raises:
        ConfigError: alpha is below 1.

    Example:
        >>> import torch
        >>> from boxless.losses import BoostLU
        >>> maps = torch.tensor([-1.0, 3.0]).view(1, 1, 1, 2)  # evidence for a class, in two cells
        >>> maps.mean((2, 3)).item(), BoostLU()(maps).mean((2, 3)).item()
        (1.0, 7.0)
    """

    def __init__(self, alpha: float = 5.0) -> None:
        super().__init__()
        if not alpha >= 1:
            raise ConfigError(f"alpha must be at least 1, found {alpha:g}")
        self.alpha = alpha

    def forward(self, maps: Tensor) -> Tensor:
        """The boosted maps.

        Args:
            maps: Evidence for classes as logits, such as (N, K, h, w); differentiable.

        Returns:
            Same shape.
        """
        return torch.where(maps > 0, maps * self.alpha, maps)
