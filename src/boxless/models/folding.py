"""Fold BatchNorm into the convolution before it: same function, fewer passes over memory.

Training a folded network means frozen statistics and about a third more images per second on a CPU.

A folded student may also start from a last convolution that speaks on the teacher's scale. ImageNet
statistics do not fit small inputs: at 128 px the final map of EfficientNet-Lite0 has three times
the mean activation it has at 320 px, and a region loss spends its first updates (or its life)
shrinking everything. One affine map per channel, on the last convolution, gives its
pre-activations the teacher's mean and deviation; no tag and no region is involved.
"""

import copy
from collections.abc import Iterable, Iterator
from typing import cast

import torch
from torch import Tensor, nn

from boxless.errors import ConfigError
from boxless.models.backbone import Backbone

TOLERANCE = 1e-3


def fold_batch_norms(backbone: Backbone) -> None:
    """Fold every BatchNorm that directly follows a convolution, in place.

    Args:
        backbone: Changed; its output in evaluation mode stays the same.

    Raises:
        ConfigError: The network has no such BatchNorm, or folding changed its output.
    """
    twin = copy.deepcopy(backbone).eval()
    count = _fold(twin.net)
    probe = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before, after = backbone.eval()(probe)["final"], twin(probe)["final"]
    scale = before.abs().max().clamp(min=1e-6)
    if not count or float((before - after).abs().max() / scale) > TOLERANCE:
        raise ConfigError(
            f"the BatchNorms of {backbone.name!r} cannot be folded into its convolutions",
            hint="set fold_norms = false for this backbone",
        )
    backbone.net = twin.net


def _fold(module: nn.Module) -> int:
    """Fold a module's pairs; returns how many there were."""
    pairs = list(norm_pairs(module))
    for parent, name, conv, norm in pairs:
        _fold_pair(conv, norm)
        rest = [getattr(norm, part, nn.Identity()) for part in ("drop", "act")]
        setattr(parent, name, nn.Sequential(*(r for r in rest if not isinstance(r, nn.Identity))))
    return len(pairs)


def norm_pairs(
    module: nn.Module,
) -> Iterator[tuple[nn.Module, str, nn.Conv2d, nn.BatchNorm2d]]:
    """Every BatchNorm that directly follows a convolution, in order of registration.

    Yields:
        The module that holds the BatchNorm, its name there, the convolution, the BatchNorm.
    """
    previous: nn.Module | None = None
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d) and isinstance(previous, nn.Conv2d):
            yield module, name, previous, child
        else:
            yield from norm_pairs(child)
        previous = _tail(child)


def unfolded_state(folded: nn.Module, plain: nn.Module) -> dict[str, Tensor]:
    """State of a folded network under the names of the network that it was folded from.

    What was folded into a convolution's weights stays there; its bias becomes the BatchNorm's,
    whose other values are such that it adds nothing else. The function is the same.

    Args:
        folded: By `fold_batch_norms`; another network gives its own state.
        plain: A new network of the same architecture.
    """
    state: dict[str, Tensor] = dict(folded.state_dict())
    names = {id(part): name for name, part in plain.named_modules()}
    for _, _, conv, norm in norm_pairs(plain):
        own, behind = names[id(conv)], names[id(norm)]
        if f"{behind}.weight" in state:
            continue
        bias = state.pop(f"{own}.bias")
        if conv.bias is not None:
            state[f"{own}.bias"] = torch.zeros_like(bias)
        state[f"{behind}.weight"] = torch.ones_like(bias)
        state[f"{behind}.bias"] = bias
        state[f"{behind}.running_mean"] = torch.zeros_like(bias)
        state[f"{behind}.running_var"] = torch.full_like(bias, 1 - norm.eps)
        state[f"{behind}.num_batches_tracked"] = torch.tensor(0)
    return state


def _tail(module: nn.Module) -> nn.Module:
    """What ran last in a module: the last part of a sequence (deep stems), else itself."""
    while isinstance(module, nn.Sequential) and len(module):
        module = module[-1]
    return module


def _fold_pair(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    mean, variance = cast("Tensor", norm.running_mean), cast("Tensor", norm.running_var)
    scale = norm.weight.data / (variance + norm.eps).sqrt()
    old = torch.zeros_like(mean) if conv.bias is None else conv.bias.data
    conv.weight.data.mul_(scale.view(-1, 1, 1, 1))
    conv.bias = nn.Parameter(norm.bias.data + (old - mean) * scale)


def last_convolution(backbone: Backbone) -> nn.Conv2d:
    """The convolution that makes ``final``, of a folded network.

    Raises:
        ConfigError: There is none with that many channels.
    """
    wanted = backbone.channels("final")
    convolutions = [m for m in backbone.net.modules() if isinstance(m, nn.Conv2d)]
    for conv in reversed(convolutions):
        if conv.out_channels == wanted and conv.bias is not None:
            return conv
    raise ConfigError(
        f"{backbone.name!r} has no folded convolution that makes its final map",
        hint="set stage1.match_statistics = false, or fold_norms = true",
    )


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
