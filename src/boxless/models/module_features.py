"""A user's own network under the calls of a timm model."""

from typing import Any

import torch
from torch import Tensor, nn

from boxless.errors import ConfigError

SIDE = 224


class ModuleFeatures(nn.Module):
    """A module that turns normalized images (N, 3, H, W) into a map (N, C, h, w).

    Args:
        module: The module.

    Raises:
        ConfigError: It gives something else.
    """

    pretrained_cfg: Any = None

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        training = module.training
        with torch.no_grad():
            found = module.eval()(torch.zeros(1, 3, SIDE, SIDE))
        module.train(training)
        if not isinstance(found, Tensor) or found.ndim != 4:
            shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise ConfigError(
                f"a backbone must turn images (N, 3, H, W) into one map (N, C, h, w), but"
                f" {type(module).__name__} gives {shape}",
                hint="wrap it so that its forward returns the map before pooling",
            )
        self.num_features = int(found.shape[1])
        stride = round(SIDE / int(found.shape[-1]))
        self.feature_info = [{"reduction": stride, "num_chs": self.num_features}]

    def forward_features(self, inputs: Tensor) -> Tensor:
        """Its map."""
        found: Tensor = self.module(inputs)
        return found

    def forward_intermediates(
        self, inputs: Tensor, *, indices: list[int], norm: bool
    ) -> tuple[Tensor, list[Tensor]]:
        """Its map, as the last and as each of the asked ones."""
        del norm
        found = self.forward_features(inputs)
        return found, [found] * len(indices)
