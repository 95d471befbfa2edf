"""Which of the processes that a launcher of torch started this is, and its cores."""

import contextlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from boxless.errors import ConfigError

_MARKS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What a launcher sets; clusters set some of them without having started several processes."""


@dataclass(frozen=True, slots=True)
class Launched:
    """A process among those started together.

    Attributes:
        rank: Its number, from 0.
        count: How many there are.
        local_rank: Its number on this machine.
        local_count: How many there are on this machine.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    local_count: int = 1

    def __str__(self) -> str:
        return f"process {self.rank} of {self.count}"


def launched() -> Launched:
    """This process, as the environment tells; alone where no launcher started it.

    Raises:
        ConfigError: The launcher's variables are no numbers, or contradict each other.
    """
    if not all(os.environ.get(name) for name in _MARKS):
        return Launched()
    try:
        found = Launched(*(int(os.environ[name]) for name in _MARKS[:4]))
    except ValueError:
        found = Launched(-1, -1)
    if not (0 <= found.rank < found.count and 0 <= found.local_rank < found.local_count):
        said = ", ".join(f"{name}={os.environ[name]}" for name in _MARKS[:4])
        raise ConfigError(
            f"the environment names no process of several: {said}",
            hint="let torchrun or accelerate launch set these, or unset them",
        )
    return found


@contextlib.contextmanager
def quiet_unless_first() -> Iterator[None]:
    """Let the first process alone write to the terminal; errors come out of the block."""
    if launched().rank == 0:
        yield
        return
    with (
        Path(os.devnull).open("w", encoding="utf-8") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        yield


@cache
def side_by_side(threads: int) -> Callable[..., Iterator[Any]]:
    """`map`, on so many threads, which are kept: what it computes must leave Python's lock."""
    return map if threads == 1 else ThreadPoolExecutor(threads, "boxless-compute").map


def available_cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
