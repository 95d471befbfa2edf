"""Optimiser, learning-rate schedule and averaged weights, all functions of the update's number."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class OptimSettings:
    """How one training step optimises; see `boxless.recipe.sections.OptimConfig` for each field.

    Attributes:
        updates: Number of updates, if it is not to follow from `epochs`.
    """

    epochs: float
    batch_size: int
    optimizer: Literal["sgd", "adamw"]
    lr: float
    head_lr_factor: float
    bias_lr_factor: float
    momentum: float
    weight_decay: float
    head_decay_factor: float
    schedule: Literal["cosine", "constant", "plateau"]
    warmup: float
    patience: int
    clip_norm: float
    train_norm_statistics: bool
    ema: float
    crop: float
    updates: int | None = None


def build_optimizer(
    module: nn.Module, settings: OptimSettings, is_new: Callable[[str], bool]
) -> torch.optim.Optimizer:
    """Optimiser with groups: weights, biases/norms and temperatures, of old and of new layers.

    Biases and one-dimensional parameters have no weight decay (method 2.3). A learned temperature
    (``….scale``) has none either, but the learning rate of a weight (method 5.1).

    Args:
        module: Its parameters with ``requires_grad`` are trained.
        settings: Rates and factors.
        is_new: Tells by a parameter's name whether its layer is new (not pretrained).
    """
    groups: dict[tuple[bool, bool, bool], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            small, scale = parameter.ndim <= 1, name.endswith(".scale")
            groups.setdefault((is_new(name), small, scale), []).append(parameter)
    options: list[dict[str, Any]] = []
    for (new, small, scale), parameters in sorted(groups.items(), key=lambda item: item[0]):
        bias = small and not scale
        factor = (settings.head_lr_factor if new else 1) * (settings.bias_lr_factor if bias else 1)
        decay = 0.0 if small else settings.weight_decay * (settings.head_decay_factor if new else 1)
        options.append({"params": parameters, "weight_decay": decay, "factor": factor})
    # Fused: one pass over memory; on a CPU AdamW takes a quarter to a third of the time.
    fused = {p.device.type for p in module.parameters()} <= {"cpu", "cuda"} or None
    if settings.optimizer == "sgd":
        return torch.optim.SGD(options, lr=settings.lr, momentum=settings.momentum, fused=fused)
    betas = (settings.momentum, 0.999)
    return torch.optim.AdamW(options, lr=settings.lr, betas=betas, fused=fused)


def rate(settings: OptimSettings, update: int, total: int, drops: int = 0) -> float:
    """Learning rate of an update.

    Args:
        settings: Schedule and base rate.
        update: Number of the update, from 0.
        total: Updates of the step.
        drops: How often the plateau schedule has divided by 10.

    Returns:
        The rate before group factors.
    """
    warm = math.ceil(settings.warmup * total)
    if update < warm:
        return settings.lr * (update + 1) / warm
    match settings.schedule:
        case "cosine":
            progress = (update - warm) / max(1, total - warm)
            return settings.lr * 0.5 * (1 + math.cos(math.pi * progress))
        case "constant":
            return settings.lr
        case "plateau":
            return settings.lr * 0.1**drops


def set_rate(optimizer: torch.optim.Optimizer, value: float) -> None:
    """Set the learning rate of all groups, each by its own factor."""
    for group in optimizer.param_groups:
        group["lr"] = value * group["factor"]


@dataclass(slots=True)
class Plateau:
    """Divides the rate by 10 when the held-out loss is flat (method 2.3, never on test).

    Attributes:
        patience: Checks without improvement before a drop.
        best: Lowest loss so far.
        waited: Checks since then.
        drops: Drops so far.
    """

    patience: int
    best: float = math.inf
    waited: int = 0
    drops: int = 0

    def see(self, loss: float) -> None:
        """Take note of a held-out loss."""
        if loss < self.best * (1 - 1e-4):
            self.best, self.waited = loss, 0
            return
        self.waited += 1
        if self.waited > self.patience:
            self.drops, self.waited = self.drops + 1, 0


class AveragedWeights:
    """Exponential moving average of a module's floating-point state.

    Args:
        module: The module that is trained.
        decay: Weight of the old average; the first updates use a smaller one, so that the average
            forgets the initial weights.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {k: v.detach().clone() for k, v in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module, update: int) -> None:
        """Move towards the module's weights after update number `update`."""
        decay = min(self.decay, (1 + update) / (10 + update))
        for name, value in module.state_dict().items():
            self._blend(self.state[name], value, decay)

    @staticmethod
    def _blend(average: Tensor, value: Tensor, decay: float) -> None:
        if average.is_floating_point():
            average.lerp_(value, 1 - decay)
        else:
            average.copy_(value)
