"""BatchNorm whose statistics are those of the whole batch, of which each process has a part.

torch's SyncBatchNorm does the same on GPUs alone. Here one sum over the processes carries mean and
mean square of every channel (in double precision, as their difference is taken), and autograd
carries the gradient back through it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import torch
from timm.layers import BatchNormAct2d
from torch import Tensor, nn

from boxless.errors import ConfigError
from boxless.training.processes import Processes

_BatchNorm = nn.modules.batchnorm._BatchNorm
_KNOWN = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, BatchNormAct2d)


@contextmanager
def synced_norms(module: nn.Module, processes: Processes) -> Iterator[None]:
    """Let every BatchNorm below a module that trains its statistics look at all processes.

    Args:
        module: What is trained, in its training mode.
        processes: Who takes part; a single process changes nothing.

    Raises:
        ConfigError: A layer is a BatchNorm of a kind that is not known.
    """
    norms = [m for m in module.modules() if isinstance(m, _BatchNorm) and m.training]
    if not processes.several:
        norms = []
    for norm in norms:
        if type(norm) not in _KNOWN:
            raise ConfigError(
                f"the statistics of a {type(norm).__name__} cannot be trained on several processes",
                hint="set ….optim.train_norm_statistics to false, or train in one process",
            )
    for norm in norms:
        norm.forward = partial(_forward, norm, processes)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for norm in norms:
            del norm.forward


class _Sum(torch.autograd.Function):
    """Sum over all processes; its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, processes: Processes) -> Tensor:
        ctx.processes = processes
        return processes.add(values.clone())

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return ctx.processes.add(grads[0].clone()), None


def _forward(norm: Any, processes: Processes, inputs: Tensor) -> Tensor:
    """What takes the place of a BatchNorm's ``forward``."""
    if not norm.training:
        return cast("Tensor", type(norm).forward(norm, inputs))
    normal = _normalized(norm, processes, inputs)
    if isinstance(norm, BatchNormAct2d):  # timm's, with dropout and activation behind it
        normal = norm.act(norm.drop(normal))
    return normal


def _normalized(norm: Any, processes: Processes, inputs: Tensor) -> Tensor:
    """(N, C, …) less the mean, over the deviation, of all processes."""
    wide = inputs.float() if inputs.dtype in (torch.float16, torch.bfloat16) else inputs
    count = inputs.numel() // inputs.shape[1]
    variance, mean = torch.var_mean(wide, [0, *range(2, inputs.ndim)], correction=0)
    own = torch.stack([mean.double(), variance.double() + mean.double().square()]) * count
    packed = torch.cat([own.flatten(), own.new_tensor([count])])
    total = cast("Tensor", _Sum.apply(packed, processes))
    everyone = total[-1].detach()
    mean, square = (total[:-1] / everyone).view(2, -1)
    variance = (square - mean.square()).clamp(min=0)
    _remember(norm, mean.detach(), variance.detach() * everyone / (everyone - 1).clamp(min=1))
    shape = (1, -1, *(1,) * (inputs.ndim - 2))
    scale = (variance + norm.eps).rsqrt()
    if norm.affine:
        scale = scale * norm.weight.double()
    result = (wide - mean.to(wide).view(shape)) * scale.to(wide).view(shape)
    if norm.affine:
        result = result + norm.bias.view(shape)
    return cast("Tensor", result.to(inputs.dtype))


@torch.no_grad()
def _remember(norm: Any, mean: Tensor, variance: Tensor) -> None:
    """Move the running statistics, as torch does: with the unbiased variance."""
    if not norm.track_running_stats:
        return
    norm.num_batches_tracked.add_(1)
    momentum = norm.momentum
    factor = 1 / float(norm.num_batches_tracked) if momentum is None else momentum
    norm.running_mean.lerp_(mean.to(norm.running_mean), factor)
    norm.running_var.lerp_(variance.to(norm.running_var), factor)
