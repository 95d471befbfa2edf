"""Start stage 1 from a student whose last convolution speaks on the teacher's scale.

ImageNet statistics do not fit small inputs: at 128 px the final map of EfficientNet-Lite0 has three
times the mean activation it has at 320 px, and a region loss spends its first updates (or its life)
shrinking everything. One affine a channel, on the last convolution, gives its pre-activations the
teacher's mean and deviation; no tag and no region is involved.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class ChannelMoments:
    """Mean and standard deviation per channel of a convolution's output, while it is watched.

    Args:
        conv: The convolution.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        self._total = torch.zeros(conv.out_channels, dtype=torch.float64)
        self._squares = torch.zeros(conv.out_channels, dtype=torch.float64)
        self._count = 0
        self._handle = conv.register_forward_hook(self._see)

    def _see(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        del module, inputs
        values = output.detach().double().cpu()
        self._total += values.sum((0, 2, 3))
        self._squares += values.square().sum((0, 2, 3))
        self._count += values[:, 0].numel()

    def finish(self) -> tuple[Tensor, Tensor]:
        """Stop watching; (C,) means and (C,) deviations."""
        self._handle.remove()
        mean = self._total / self._count
        return mean, (self._squares / self._count - mean.square()).clamp(min=1e-12).sqrt()


@torch.no_grad()
def watch(model: nn.Module, conv: nn.Conv2d, inputs: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Moments of a convolution's output over some inputs."""
    moments = ChannelMoments(conv)
    for batch in inputs:
        model(batch)
    return moments.finish()


@torch.no_grad()
def match_moments(
    conv: nn.Conv2d, own: tuple[Tensor, Tensor], wanted: tuple[Tensor, Tensor]
) -> None:
    """Change a convolution so that outputs with moments `own` get the moments `wanted`.

    Args:
        conv: With a bias; changed in place.
        own: (C,) means and deviations of its output now.
        wanted: (C,) means and deviations to have.
    """
    ratio = wanted[1] / own[1]
    bias = conv.bias
    if bias is None:
        bias = conv.bias = nn.Parameter(torch.zeros(conv.out_channels))
    shifted = (bias.double().cpu() - own[0]) * ratio + wanted[0]
    bias.copy_(shifted.to(bias))
    conv.weight.mul_(ratio.to(conv.weight).view(-1, 1, 1, 1))
