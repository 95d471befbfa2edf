"""Where the time of an update goes: loader, transfer, forward, losses, backward, optimiser.

The loop and the tasks name what they are doing with `timed`; without a running `Clock` that costs
next to nothing. Parts may be nested: the inner one's time is taken off the outer one's.
"""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

WARM = 2
"""First updates of an attempt are not counted: they allocate memory and choose algorithms."""

PARTS = (
    "loader", "transfer", "forward", "teacher", "region loss", "distillation loss", "backward",
    "exchange", "optimiser", "rest",
)  # fmt: skip
"""Names of the parts, in the order of an update; ``exchange`` is adding up the gradients of several
processes, ``rest`` is logging, averages and checkpoints."""


class Clock:
    """Adds up the time of each part over the updates of a training step.

    Args:
        device: Where tensors are computed; a GPU is waited for at the borders of parts.
    """

    def __init__(self, device: torch.device) -> None:
        self._gpu = device.type == "cuda"
        self._seconds = dict.fromkeys(PARTS, 0.0)
        self._open = ["rest"]
        self._since = time.perf_counter()
        self._updates = -WARM

    def end_update(self) -> None:
        """Count an update; what was measured while warming up is forgotten."""
        self._charge()
        self._updates += 1
        if self._updates <= 0:
            self._seconds = dict.fromkeys(PARTS, 0.0)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Charge the time of a block to a part (one of `PARTS`)."""
        self._charge()
        self._open.append(name)
        try:
            yield
        finally:
            self._charge()
            self._open.pop()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let `timed` report to this clock within a block."""
        global _running  # noqa: PLW0603  (tasks are timed without being handed a clock)
        before, _running = _running, self
        self._since = time.perf_counter()
        try:
            yield
        finally:
            _running = before

    def summary(self) -> dict[str, object]:
        """Number of updates counted, and mean milliseconds of each part that took any time."""
        count = max(1, self._updates)
        parts = {name: 1000 * spent / count for name, spent in self._seconds.items() if spent}
        return {
            "updates": max(0, self._updates),
            "milliseconds": parts if self._updates > 0 else {},
        }

    def _charge(self) -> None:
        if self._gpu:
            torch.cuda.synchronize()
        now = time.perf_counter()
        self._seconds[self._open[-1]] += now - self._since
        self._since = now


_running: Clock | None = None


@contextmanager
def measured(device: torch.device, *, wanted: bool) -> Iterator[Clock | None]:
    """Run a clock within a block, if one is wanted."""
    if not wanted:
        yield None
        return
    clock = Clock(device)
    with clock.running():
        yield clock


def timed(name: str) -> AbstractContextManager[None]:
    """Charge a block to a part of the running clock, if there is one.

    Args:
        name: One of `PARTS`.
    """
    return nullcontext() if _running is None else _running.part(name)
