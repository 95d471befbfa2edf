"""A user's own network under the calls of a timm model."""

import math
from typing import Any, Final

import torch
from torch import Tensor, nn

from boxless.errors import ConfigError

PROBE_SIDE: Final = 224


class ModuleFeatures(nn.Module):
    """A module that turns normalized images (N, 3, H, W) into one map (N, C, h, w).

    The map is the level ``final``, and the one of its stride.

    Args:
        module: The module; it stays in its mode (training or evaluation) and on its device.

    Attributes:
        num_features: C.
        feature_info: The one level, as timm describes it.

    Raises:
        ConfigError: The module gives no such map of an image of 224 x 224 pixels.
    """

    pretrained_cfg: Any = None

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        channels, side = _map_of(module)
        self.num_features = channels
        self.feature_info = [
            {"reduction": 2 ** round(math.log2(PROBE_SIDE / side)), "num_chs": channels}
        ]
        self.train(module.training)

    def forward_features(self, inputs: Tensor) -> Tensor:
        """The map (N, C, h, w)."""
        features: Tensor = self.module(inputs)
        return features

    def forward_intermediates(
        self, inputs: Tensor, *, indices: list[int], norm: bool
    ) -> tuple[Tensor, list[Tensor]]:
        """The map, and for each asked level the same."""
        del norm
        features = self.forward_features(inputs)
        return features, [features for _ in indices]


def _map_of(module: nn.Module) -> tuple[int, int]:
    """Channels and rows of the map of a probe image."""
    training, parameter = module.training, next(module.parameters(), None)
    device = parameter.device if parameter is not None else None
    try:
        with torch.no_grad():
            found = module.eval()(torch.zeros(1, 3, PROBE_SIDE, PROBE_SIDE, device=device))
    except (RuntimeError, ValueError, TypeError) as error:
        raise ConfigError(
            f"{type(module).__name__} cannot be a backbone: it fails on a tensor of (1, 3,"
            f" {PROBE_SIDE}, {PROBE_SIDE}): {str(error)[:200]}",
            hint="a backbone turns (N, 3, H, W) into one feature map",
        ) from error
    finally:
        module.train(training)
    if not isinstance(found, Tensor) or found.ndim != 4:
        shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise ConfigError(
            f"{type(module).__name__} cannot be a backbone: expected a map (1, C, h, w), found"
            f" {shape}",
            hint="take its layers up to the last map, before pooling and classifier",
        )
    return int(found.shape[1]), int(found.shape[2])
