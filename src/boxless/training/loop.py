"""The training loop. Teacher, baseline and both stages all run through `train`, top to bottom.

A step is a pure function of its task, its data, its settings and its seed: order and views of
images come from the update's number, random layers from the generator kept in the checkpoint.
Killed at any moment and started again, it ends with the same weights bit for bit (on one machine).
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import torch
from safetensors.torch import save
from torch import Tensor, nn

from boxless.errors import ConfigError, NumericsError
from boxless.seals import write_sealed
from boxless.training.batches import Batch, BatchStream
from boxless.training.checkpoint import (
    Progress,
    load_checkpoint,
    save_checkpoint,
)
from boxless.training.clock import Clock, measured, timed
from boxless.training.events import EventLog, StepProgress
from boxless.training.files import CHECKPOINT, WEIGHTS
from boxless.training.numerics import Moment, explained
from boxless.training.optimization import (
    AveragedWeights,
    OptimSettings,
    Plateau,
    build_optimizer,
    rate,
    set_rate,
)
from boxless.training.runtime import Runtime

LOG_EVERY = 10


class Task(Protocol):
    """What a step trains and what it minimises."""

    module: nn.Module
    """Everything that is trained and saved."""

    def is_new(self, name: str) -> bool:
        """Whether a parameter of `module` belongs to a new (not pretrained) layer."""

    def train_mode(self) -> None:
        """Put all modules into the mode they train in."""

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Loss parts of a batch; ``loss`` is the one that is minimised."""


@dataclass(slots=True)
class _State:
    """Everything the next update depends on, beside the update's number."""

    task: Task
    optimizer: torch.optim.Optimizer
    average: AveragedWeights | None
    plateau: Plateau
    runtime: Runtime

    @classmethod
    def begin(cls, task: Task, settings: OptimSettings, runtime: Runtime) -> "_State":
        """State before the first update."""
        optimizer = build_optimizer(task.module, settings, task.is_new)
        average = AveragedWeights(task.module, settings.ema) if settings.ema else None
        return cls(task, optimizer, average, Plateau(settings.patience), runtime)

    def load(self, folder: Path) -> Progress:
        """Restore the last checkpoint, if there is one."""
        progress = load_checkpoint(folder, self.task.module, self.optimizer, self.average)
        self.runtime.restore(progress.extra)
        self.plateau = Plateau(self.plateau.patience, **progress.plateau)
        return progress

    def save(self, folder: Path, update: int, seconds: float) -> None:
        """Write a checkpoint after `update` updates."""
        plateau = {k: v for k, v in asdict(self.plateau).items() if k != "patience"}
        progress = Progress(update, seconds, plateau, self.runtime.state())
        save_checkpoint(folder, self.task.module, self.optimizer, self.average, progress)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Loss parts of a batch."""
        with timed("transfer"):
            placed = batch.to(self.runtime.device)
        with timed("forward"), self.runtime.autocast():
            return self.task.losses(placed)

    def update(self, batch: Batch, update: int, value: float, clip: float) -> dict[str, Tensor]:
        """One update at learning rate `value`."""
        set_rate(self.optimizer, value)
        losses = self.losses(batch)
        self.runtime.step(losses["loss"], self.task.module, self.optimizer, clip)
        if self.average is not None:
            self.average.update(self.task.module, update)
        return losses


def train(
    task: Task,
    stream: BatchStream,
    settings: OptimSettings,
    *,
    folder: Path,
    runtime: Runtime,
    title: str,
    checkpoint_seconds: float = 60.0,
    validate: Callable[[], float] | None = None,
) -> Progress:
    """Train a task to its last update, from the last checkpoint if there is one.

    Args:
        task: What to train; its module holds the final weights afterwards.
        stream: Where batches come from.
        settings: Optimiser and schedule.
        folder: Receives checkpoint, events and at the end ``weights.safetensors``.
        runtime: Device and precision.
        title: Shown beside the progress bar.
        checkpoint_seconds: Time between checkpoints.
        validate: Held-out loss, asked once a pass by the plateau schedule.

    Returns:
        Updates done and seconds spent, earlier attempts included; and where the time of this
        attempt's updates went, if the runtime was asked to look.

    Raises:
        NumericsError: A loss or gradient became infinite or NaN; says where.
        StoreError: The checkpoint cannot be used.
    """
    total = settings.updates or stream.updates(settings.epochs)
    per_epoch = stream.updates(1)
    state = _State.begin(task, settings, runtime)
    progress = state.load(folder)
    log = EventLog(folder, update=progress.update)
    task.train_mode()
    _require_statistics(task.module, stream.batch_size)
    saved = time.monotonic()
    began = saved - progress.seconds
    start = done = progress.update
    bar = StepProgress(title, total, done=start, per=stream.batch_size)
    with measured(runtime.device, wanted=runtime.profile) as clock, bar:
        for update, batch in enumerate(_awaited(stream.batches(start, total), clock), start):
            value = rate(settings, update, total, state.plateau.drops)
            now = partial(_moment, folder, stream, batch, update, done)
            with explained(task.module, partial(state.losses, batch), now):
                losses = state.update(batch, update, value, settings.clip_norm)
            if update % LOG_EVERY == 0 or update + 1 == total:
                parts = {k: float(v.detach()) for k, v in losses.items()}
                log.write({"update": update, "epoch": update / per_epoch, "lr": value, **parts})
            bar.advance(note=f"loss {float(losses['loss'].detach()):.4g}")
            if validate is not None and (update + 1) % per_epoch == 0:
                state.plateau.see(validate())
                task.train_mode()
            if time.monotonic() - saved > checkpoint_seconds and update + 1 < total:
                state.save(folder, update + 1, time.monotonic() - began)
                saved, done = time.monotonic(), update + 1
    log.close()
    if state.average is not None:
        task.module.load_state_dict(state.average.state)
    save_weights(folder / WEIGHTS, task.module)
    return Progress(total, time.monotonic() - began, profile=clock.summary() if clock else None)


def _awaited(batches: Iterator[Batch], clock: Clock | None) -> Iterator[Batch]:
    """Batches as they come; waiting for one is the loader's time, asking for it ends an update."""
    while True:
        with timed("loader"):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch
        if clock is not None:
            clock.end_update()


def _moment(folder: Path, stream: BatchStream, batch: Batch, update: int, done: int) -> Moment:
    """An update under way, for messages."""
    records = [stream.dataset.records[row] for row in batch.index.tolist()]
    checkpoint = folder / CHECKPOINT
    return Moment(update, records, checkpoint if checkpoint.exists() else None, done)


def _require_statistics(module: nn.Module, batch_size: int) -> None:
    """Refuse to train BatchNorm's statistics on single images."""
    norms = (m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm))
    if batch_size == 1 and any(norm.training for norm in norms):
        raise ConfigError(
            "batch_size = 1 leaves BatchNorm nothing to average over",
            hint="set ….optim.batch_size to 2 or more, or ….optim.train_norm_statistics to false",
        )


def save_weights(path: Path, module: nn.Module) -> None:
    """Write a module's state dict as safetensors, atomically.

    Raises:
        NumericsError: A weight is NaN or infinite.
    """
    state = {k: v.detach().cpu().contiguous() for k, v in module.state_dict().items()}
    bad = [k for k, v in state.items() if not bool(torch.isfinite(v).all())]
    if bad:
        raise NumericsError(
            f"{len(bad)} of {len(state)} trained tensors are not finite, first {bad[0]}",
            hint="lower the learning rate (….optim.lr), or set ….optim.clip_norm to 1",
        )
    write_sealed(path, save(state))


def seed_everything(seed: int) -> None:
    """Seed torch's generators, which initialise layers and drive dropout."""
    torch.manual_seed(seed)
