"""The training loop. Teacher, baseline and both stages all run through `train`, top to bottom.

A step is a pure function of its task, its data, its settings and its seed: order and views of
images come from the update's number, random layers from the generator kept in the checkpoint (of
several processes: from the update's number too). Killed at any moment and started again, it ends
with the same weights bit for bit (on one machine, with the same number of processes).
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import torch
from safetensors.torch import save
from torch import Tensor, nn

from boxless.errors import ConfigError, NumericsError, StoreError
from boxless.files.progress import ProgressBar
from boxless.files.seals import write_sealed
from boxless.losses.checks import trusted
from boxless.training.batches import Batch, BatchStream
from boxless.training.checkpoint import (
    Progress,
    load_checkpoint,
    save_checkpoint,
    saved_update,
)
from boxless.training.clock import Clock, measured, timed
from boxless.training.compiling import compiled, eager
from boxless.training.events import CHECKPOINT, WEIGHTS, EventLog
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
from boxless.training.synced_norm import synced_norms

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
        count = self.runtime.processes.count
        if self.runtime.total(progress.update) != count * progress.update:
            raise StoreError(
                f"the {count} processes do not read the same checkpoint in {folder}; this one's is"
                f" of update {progress.update}",
                hint="the run folder must lie on a drive that all machines share",
            )
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
        with timed("forward"), self.runtime.autocast(), trusted():
            return self.task.losses(placed)

    def losses_alone(self, batch: Batch) -> dict[str, Tensor]:
        """Loss parts of a batch, while no other process computes any."""
        with self.runtime.processes.apart(), eager(self.task.module):
            return self.losses(batch)

    def update(self, batch: Batch, update: int, value: float, clip: float) -> dict[str, Tensor]:
        """One update at learning rate `value`; the losses of all processes."""
        set_rate(self.optimizer, value)
        losses = self.runtime.step(
            self.losses(batch), self.task.module, self.optimizer, clip, share=batch.share
        )
        if self.average is not None:
            self.average.update(self.task.module, update)
        return losses


@dataclass(slots=True)
class _Keeper:
    """Writes events, checkpoints and weights; where several processes train, the first alone."""

    state: _State
    folder: Path
    pause: float
    log: EventLog | None
    title: str
    batch_size: int
    before: float
    began: float
    saved: float
    start: int
    noted: tuple[int, float]

    @classmethod
    def begin(
        cls, state: _State, folder: Path, pause: float, title: str, batch_size: int
    ) -> "_Keeper":
        """Resume from the last checkpoint, if there is one; the next comes in `pause` seconds."""
        progress, now = state.load(folder), time.monotonic()
        leads = state.runtime.processes.leads
        log = EventLog(folder, update=progress.update) if leads else None
        spent, start = progress.seconds, progress.update
        return cls(
            state, folder, pause, log, title, batch_size, spent, now, now, start, (start, now)
        )

    @property
    def seconds(self) -> float:
        """Training time spent, in all attempts."""
        return self.before + time.monotonic() - self.began

    def note(self, update: int, losses: dict[str, Tensor], **more: float) -> None:
        """Log an update."""
        if self.log is not None:
            parts = {k: float(v) for k, v in losses.items()}
            self.log.write({"update": update, **more, **parts})
            if update > self.start:
                (before, then), self.noted = self.noted, (update, time.monotonic())
                images = (update - before) * self.batch_size
                more["images_per_second"] = images / max(self.noted[1] - then, 1e-9)
            self.state.runtime.tracker.log(self.title, update, {**parts, **more})

    def save_if_due(self, update: int) -> None:
        """Write a checkpoint after `update` updates, if it is time."""
        if self.log is not None and time.monotonic() - self.saved > self.pause:
            self.state.save(self.folder, update, self.seconds)
            self.saved = time.monotonic()

    def finish(self, total: int, clock: Clock | None) -> Progress:
        """Keep the trained weights: the averaged ones, if they were averaged."""
        module, average = self.state.task.module, self.state.average
        if average is not None:
            module.load_state_dict(average.state)
        if self.log is not None:
            self.log.close()
            save_weights(self.folder / WEIGHTS, module)
        profile, count = clock.summary() if clock else None, self.state.runtime.processes.count
        return Progress(total, self.seconds, profile=profile, processes=count, before=self.before)


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
        runtime: Device and precision, and the processes that train together: each takes its part of
            every batch, and the first writes the files.
        title: Shown beside the progress bar.
        checkpoint_seconds: Time between checkpoints.
        validate: Held-out loss, asked once a pass by the plateau schedule.

    Returns:
        Updates and seconds, earlier attempts included; where this one's time went, if asked for.

    Raises:
        ConfigError: There are more processes than images in a batch.
        NumericsError: A loss or gradient became infinite or NaN; says where.
        PeerError: Another process has ended.
        StoreError: The checkpoint cannot be used.
    """
    processes = runtime.processes
    stream = stream.part(processes.rank, processes.count)
    total, per_epoch = settings.updates or stream.updates(settings.epochs), stream.updates(1)
    processes.barrier(title)  # the first may have had more to prepare
    processes.start_alike(task.module)
    state = _State.begin(task, settings, runtime)
    keeper = _Keeper.begin(state, folder, checkpoint_seconds, title, stream.batch_size)
    start = keeper.start
    bar = ProgressBar(title, total, done=start, per=stream.batch_size)
    with bar, _under_way(task, stream.batch_size, runtime) as clock:
        for update, batch in enumerate(_awaited(stream.batches(start, total), clock), start):
            value = rate(settings, update, total, state.plateau.drops)
            now = partial(_moment, folder, stream, batch, update)
            processes.reseed(stream.seed, update)
            with explained(task.module, partial(state.losses_alone, batch), now):
                losses = state.update(batch, update, value, settings.clip_norm)
            if update % LOG_EVERY == 0 or update + 1 == total:
                keeper.note(update, losses, epoch=update / per_epoch, lr=value)
            bar.advance(note=partial(_loss_note, losses))
            if validate is not None and (update + 1) % per_epoch == 0:
                with eager(task.module):
                    state.plateau.see(validate())
                task.train_mode()
            if update + 1 < total:
                keeper.save_if_due(update + 1)
    return keeper.finish(total, clock)


@contextmanager
def _under_way(task: Task, batch_size: int, runtime: Runtime) -> Iterator[Clock | None]:
    """A task as it is only while it trains; gives the clock, if time is to be measured."""
    task.train_mode()
    require_statistics(task.module, batch_size)
    synced = synced_norms(task.module, runtime.processes)
    fast = compiled(task.module, wanted=runtime.compiled)
    with measured(runtime.device, wanted=runtime.profile) as clock, synced, fast:
        yield clock


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


def _loss_note(losses: Mapping[str, Tensor]) -> str:
    return f"loss {float(losses['loss']):.4g}"


def _moment(folder: Path, stream: BatchStream, batch: Batch, update: int) -> Moment:
    """An update under way, for messages."""
    records = [stream.dataset.records[row] for row in batch.index.tolist()]
    checkpoint = folder / CHECKPOINT
    saved = checkpoint if checkpoint.exists() else None
    return Moment(update, records, saved, saved_update(folder))


def require_statistics(module: nn.Module, batch_size: int) -> None:
    """Refuse to train BatchNorm's statistics on single images.

    Args:
        module: What is trained, in the mode it trains in.
        batch_size: Images per update.

    Raises:
        ConfigError: It has such layers, and a batch is one image.
    """
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
