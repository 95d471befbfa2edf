"""Start stage 1 from a student whose last convolution speaks on the teacher's scale.

ImageNet statistics do not fit small inputs: at 128 px the final map of EfficientNet-Lite0 has three
times the mean activation it has at 320 px, and a region loss spends its first updates (or its life)
shrinking everything. One affine a channel, on the last convolution, gives its pre-activations the
teacher's mean and deviation; no tag and no region is involved.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


@torch.no_grad()
def watch(model: nn.Module, conv: nn.Conv2d, inputs: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Means (C,) and deviations (C,) of a convolution's output over some inputs."""
    total, squares = torch.zeros(2, conv.out_channels, dtype=torch.float64)
    count = 0

    def see(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal count
        del module, inputs
        values = output.detach().double().cpu()
        total.add_(values.sum((0, 2, 3)))
        squares.add_(values.square().sum((0, 2, 3)))
        count += values[:, 0].numel()

    handle = conv.register_forward_hook(see)
    for batch in inputs:
        model(batch)
    handle.remove()
    mean = total / count
    return mean, (squares / count - mean.square()).clamp(min=1e-12).sqrt()


@torch.no_grad()
def match_moments(
    conv: nn.Conv2d, own: tuple[Tensor, Tensor], wanted: tuple[Tensor, Tensor]
) -> None:
    """Change a convolution so that outputs with moments `own` get the moments `wanted`.

    Both are (C,) means and deviations; a missing bias is made.
    """
    ratio = wanted[1] / own[1]
    bias = conv.bias
    if bias is None:
        bias = conv.bias = nn.Parameter(torch.zeros(conv.out_channels))
    shifted = (bias.double().cpu() - own[0]) * ratio + wanted[0]
    bias.copy_(shifted.to(bias))
    conv.weight.mul_(ratio.to(conv.weight).view(-1, 1, 1, 1))
