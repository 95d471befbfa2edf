"""Where a value that is not finite came from: the batch, the layer, the last good checkpoint."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from boxless.errors import BoxlessError, NumericsError
from boxless.types import ImageRecord

SHOWN = 4
"""Images of the batch that are named."""


@dataclass(frozen=True, slots=True)
class Moment:
    """An update under way.

    Attributes:
        update: Its number, from 0.
        images: Its images.
        checkpoint: File of the last checkpoint; None where there is none yet.
        saved: Updates done at that checkpoint.
    """

    update: int
    images: Sequence[ImageRecord]
    checkpoint: Path | None
    saved: int

    def __str__(self) -> str:
        names = ", ".join(repr(record.image_id) for record in self.images[:SHOWN])
        more = f" and {len(self.images) - SHOWN} more" if len(self.images) > SHOWN else ""
        return f"in update {self.update + 1}, images {names}{more}"

    @property
    def way_back(self) -> str:
        """What is left of the work."""
        if self.checkpoint is None:
            return "there is no checkpoint yet: the step begins anew"
        return f"the last good checkpoint is of update {self.saved}: {self.checkpoint}"


@contextmanager
def explained(
    module: nn.Module, forward: Callable[[], Any], moment: Callable[[], Moment]
) -> Iterator[None]:
    """Add place and way back to a `NumericsError` of an update.

    Args:
        module: What is trained.
        forward: Computes the loss of the batch once more; called after a failure only.
        moment: The update; called after a failure only.

    Raises:
        NumericsError: With batch, layer and last good checkpoint.
    """
    try:
        yield
    except NumericsError as error:
        now = moment()
        raise NumericsError(
            f"{error.message} {now}; {first_fault(module, forward)}",
            hint=f"{error.hint}; {now.way_back}",
        ) from error


def first_fault(module: nn.Module, forward: Callable[[], Any]) -> str:
    """Name the place where a loss or gradient ceased to be finite.

    Args:
        module: What is trained, its gradients as the failure left them.
        forward: Computes the loss once more.

    Returns:
        The first weight that is not finite, else the first layer whose output is not though its
        input is, else the last layer whose gradient is not.
    """
    for name, value in module.named_parameters():
        if not _finite(value.detach()):
            return f"the weight {name!r} is not finite already"
    layer = _first_layer(module, forward)
    if layer:
        return f"the layer {layer!r} gave the first such output"
    bad = [n for n, p in module.named_parameters() if p.grad is not None and not _finite(p.grad)]
    if bad:  # gradients come from the back: the last layer was the first
        return f"first in the gradient of {bad[-1]!r} ({len(bad)} gradients are not finite)"
    return "every layer's output and gradient is finite by itself"


@torch.no_grad()
def _first_layer(module: nn.Module, forward: Callable[[], Any]) -> str:
    found: list[str] = []

    def watch(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def look(_: nn.Module, inputs: Any, output: Any) -> None:
            if not found and not _finite(output) and _finite(inputs):
                found.append(name)

        return look

    handles = [
        part.register_forward_hook(watch(name))
        for name, part in module.named_modules()
        if not any(part.children())
    ]
    try:
        forward()
    except (BoxlessError, RuntimeError):  # the failure itself is told already
        pass
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else ""


def _finite(values: Any) -> bool:
    if isinstance(values, Tensor):
        return not values.is_floating_point() or bool(torch.isfinite(values).all())
    if isinstance(values, dict):
        return all(map(_finite, values.values()))
    return not isinstance(values, list | tuple) or all(map(_finite, values))
