"""Processes that train one model together, each on its part of every batch.

The first process (rank 0) walks through the steps of a run and writes all files. It tells the
others which step is trained next; between such steps they wait, however long it takes. Started by
``torchrun`` or ``accelerate launch``; gloo between CPUs, NCCL between GPUs.
"""

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from types import FrameType
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, distributed, nn
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from boxless.errors import ConfigError, PeerError
from boxless.files.launched import Launched, launched

T = TypeVar("T")

PAUSE = 0.1
"""Seconds between two looks for the first process's next word."""

PATIENCE = timedelta(minutes=30)
"""How long an exchange may take; no process does more than a checkpoint between two of them."""

FAILED = "failed"


@dataclass(slots=True)
class Processes:
    """This process among those that train together; by itself unless told otherwise.

    Attributes:
        rank: Its number, from 0.
        count: How many there are.
        store: Where the first one leaves its words (a ``torch.distributed.Store``); None = there
            are no others.
    """

    rank: int = 0
    count: int = 1
    store: Any = None
    _words: int = field(default=0, repr=False)
    _apart: bool = field(default=False, repr=False)

    @property
    def leads(self) -> bool:
        """Whether this is the one that writes files."""
        return self.rank == 0

    @property
    def several(self) -> bool:
        """Whether there are others."""
        return self.count > 1

    def part(self, items: Sequence[T]) -> Sequence[T]:
        """This process's part of some items; every item is in exactly one part."""
        return items[self.rank :: self.count]

    def add(self, values: Tensor) -> Tensor:
        """Sum of a tensor over all processes, in place; each ends up with the same bits.

        Raises:
            PeerError: Another process has ended.
        """
        if self.several and not self._apart:
            with _peers():
                distributed.all_reduce(values)
        return values

    def start_alike(self, module: nn.Module) -> None:
        """Give every process the first one's weights and buffers.

        Raises:
            PeerError: Another process has ended.
        """
        if not self.several:
            return
        with _peers(), torch.no_grad():
            for value in module.state_dict().values():
                packed = value.contiguous()
                distributed.broadcast(packed, src=0)
                value.copy_(packed)

    def reseed(self, seed: int, update: int) -> None:
        """Make what random layers draw depend on seed, update and process alone.

        So a checkpoint needs no generator of every process, and may be gone on from by any number
        of them. A single process keeps its generator.
        """
        if self.several:
            drawn = np.random.SeedSequence([seed, 2, update, self.rank, self.count])
            torch.manual_seed(int(drawn.generate_state(1, np.uint64)[0] >> 1))

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Compute something without the others, which do not take part in it."""
        before, self._apart = self._apart, True
        try:
            yield
        finally:
            self._apart = before

    def broadcast(self, word: str) -> None:
        """Send a word to the others; the first process's alone."""
        if self.store is not None:
            self.store.set(f"boxless/{self._words}", word)
            self._words += 1

    def receive(self) -> str:
        """Wait for the first process's next word, for as long as that takes.

        Raises:
            PeerError: It has failed, or its machine is gone.
        """
        key = f"boxless/{self._words}"
        with _peers():
            while not self.store.check([key]):
                time.sleep(PAUSE)
            word: str = self.store.get(key).decode()
        self._words += 1
        if word == FAILED:
            raise PeerError("the first process has stopped")
        return word

    def barrier(self, word: str) -> None:
        """Meet the others at a place: the first sends its name, the others wait for it.

        Raises:
            PeerError: The first process is somewhere else, or has failed.
        """
        if not self.several:
            return
        if self.leads:
            self.broadcast(word)
        elif (heard := self.receive()) != word:
            raise PeerError(f"the first process is at {heard!r}, this one at {word!r}")


@contextmanager
def joined() -> Iterator[Processes]:
    """Join the processes of this launch; leave them at the end of the block.

    Raises:
        ConfigError: There are more processes on this machine than GPUs.
        PeerError: Another process did not come, or has ended.
    """
    own = launched()
    if own.count == 1:
        yield Processes()
        return
    device = _device(own)
    with _peers():
        store = _store(own)
        distributed.init_process_group(
            "gloo" if device is None else "nccl",
            store=store,
            rank=own.rank,
            world_size=own.count,
            timeout=PATIENCE,
            device_id=device,
        )
    processes = Processes(own.rank, own.count, store)
    try:
        with _termination() if processes.leads else nullcontext():
            yield processes
        with _peers():
            distributed.barrier()
    except BaseException:
        if processes.leads:
            with suppress(RuntimeError):
                processes.broadcast(FAILED)
        raise
    distributed.destroy_process_group()


def _store(own: Launched) -> Any:
    """The launcher's store; torchrun keeps one for all attempts, and words of the last with it."""
    whole, _, _ = next(rendezvous("env://", timeout=PATIENCE))
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    return PrefixStore(f"boxless-{attempt}-{own.count}", whole)


def _device(own: Launched) -> torch.device | None:
    """The GPU of this process; None = the CPU."""
    forced = os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes", "on")
    if forced or not torch.cuda.is_available():
        return None
    there = torch.cuda.device_count()
    if there < own.local_count:
        raise ConfigError(
            f"{own.local_count} processes were started on this machine, which has {there} GPU(s)",
            hint=f"start one process per GPU: --nproc-per-node {there}",
        )
    torch.cuda.set_device(own.local_rank)
    return torch.device("cuda", own.local_rank)


@contextmanager
def _peers() -> Iterator[None]:
    """Tell that another process is gone where an exchange breaks off."""
    try:
        yield
    except RuntimeError as error:  # all that torch.distributed raises is one
        raise PeerError(
            f"another process has ended, or cannot be reached: {str(error).splitlines()[0][:160]}"
        ) from error


@contextmanager
def _termination() -> Iterator[None]:
    """Treat SIGTERM, by which launchers stop their processes, like Ctrl-C: tell how to resume."""

    def stop(number: int, _: FrameType | None) -> Any:
        del number
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
