"""Where the cells of a feature map really look.

Cell i of a map with stride s should look at ``s * (i + 1/2)``, the middle of its square. Patches
and 2 x 2 pooling do; a 3 x 3 kernel with stride 2 does not: padded on both sides (torch) it looks
half a cell of its input to the left, padded on the right only (TensorFlow's SAME on even sides)
half a cell to the right. Over all halvings that adds up to ``(s - 1) / 2`` pixels either way.
"""

import math
from typing import Any

import torch
from timm.layers import Conv2dSame
from torch import Tensor, nn

STRIDED = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)


def cell_shifts(net: nn.Module, probe: Tensor) -> tuple[Tensor, dict[int, float]]:
    """Run a network once and note how each reduction of resolution displaces its output.

    Args:
        net: timm model.
        probe: (1, 3, S, S) input.

    Returns:
        What ``forward_features`` returns, and by the stride of the reduced map the shift in its
        cells, to the right and below positive (mean over parallel branches).
    """
    found: dict[int, list[float]] = {}

    def note(module: Any, inputs: tuple[Tensor, ...], _: Tensor) -> None:
        stride = 2 ** round(math.log2(probe.shape[-1] / inputs[0].shape[-1]))
        found.setdefault(stride, []).append(_shift(module))

    hooks = [
        module.register_forward_hook(note)
        for module in net.modules()
        if isinstance(module, STRIDED) and _first(module.stride) > 1
    ]
    try:
        with torch.no_grad():
            features: Tensor = net.forward_features(probe)  # type: ignore[operator]
    finally:
        for hook in hooks:
            hook.remove()
    return features, {stride: sum(shifts) / len(shifts) for stride, shifts in found.items()}


def _shift(module: Any) -> float:
    """Middle of the kernel relative to the middle of the ``stride`` cells it stands for."""
    kernel, stride = _first(module.kernel_size), _first(module.stride)
    reach = (kernel - 1) * _first(getattr(module, "dilation", 1))
    padding = _first(module.padding)
    if isinstance(module, Conv2dSame):
        padding = max(reach + 1 - stride, 0) // 2
    return (reach - stride + 1) / 2 - padding


def _first(value: Any) -> int:
    return int(value[0]) if isinstance(value, tuple) else int(value)
