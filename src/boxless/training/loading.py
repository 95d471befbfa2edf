"""Batches made by other processes; their pixels come through shared memory that is used again.

New shared memory for every batch would cost about as much as resizing its images.
"""

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast

import torch
from torch.utils.data import DataLoader, Dataset

from boxless.errors import BoxlessError
from boxless.files.interrupts import interrupts_wait
from boxless.types import UInt8Array

Plan = TypeVar("Plan")
Arrays = tuple[UInt8Array, dict[str, Any]]
"""Pixels of a batch, and whatever else it has."""

_AHEAD = 2  # batches that each process makes before they are asked for


def load_elsewhere(
    make: Callable[[Plan, UInt8Array | None], Arrays],
    plans: Iterator[Plan],
    *,
    workers: int,
    room: int,
) -> Iterator[Arrays]:
    """Batches in the order of their plans, made by other processes.

    Args:
        make: Makes the batch of a plan, its pixels in a flat array that is given; the rest must be
            picklable.
        plans: One per batch.
        workers: Processes.
        room: Bytes of the largest batch's pixels.

    Yields:
        What `make` returned; the pixels are a new array.

    Raises:
        BoxlessError: As `make` raised it.
    """
    rooms = _Rooms(make, slots=_AHEAD * workers + 1, room=room)  # the one being copied besides
    loader = DataLoader(
        rooms,
        batch_size=None,
        sampler=cast("Any", enumerate(plans)),
        num_workers=workers,
        prefetch_factor=_AHEAD,
        collate_fn=_unchanged,  # else each array would get shared memory of its own
        generator=torch.Generator(),  # or it would draw its base seed from the one dropout uses
    )
    with interrupts_wait():  # for good in the loading processes: this one ends them
        batches = iter(loader)
    for found in batches:
        if isinstance(found, BoxlessError):
            raise found
        number, shape, rest = found
        locked = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]  # else a GPU waits
        pixels = torch.empty(shape, dtype=torch.uint8, pin_memory=locked).numpy()
        pixels[:] = rooms.slot(number)[: math.prod(shape)].reshape(shape)
        yield pixels, rest


def load_ahead(made: Iterator[Arrays]) -> Iterator[Arrays]:
    """The same batches, the next one made by a thread while the last is used."""
    with ThreadPoolExecutor(1, thread_name_prefix="boxless-load") as pool:
        following = pool.submit(next, made, None)
        while (found := following.result()) is not None:
            following = pool.submit(next, made, None)
            yield found


class _Rooms(Dataset[Any]):
    """Makes batches in slots of shared memory, in turn.

    Errors are handed over as values: a DataLoader would turn them into the text of a traceback.
    """

    def __init__(
        self, make: Callable[[Any, UInt8Array | None], Arrays], *, slots: int, room: int
    ) -> None:
        self._make = make
        self._slots = torch.empty((slots, room), dtype=torch.uint8)
        self._slots.share_memory_()  # type: ignore[no-untyped-call]

    def __getitem__(self, job: tuple[int, Any]) -> Any:
        number, plan = job
        try:
            pixels, rest = self._make(plan, self.slot(number))
        except BoxlessError as error:
            return error
        return number, pixels.shape, rest

    def slot(self, number: int) -> UInt8Array:
        """The memory of a batch, flat."""
        found: UInt8Array = self._slots[number % len(self._slots)].numpy()
        return found


def _unchanged(found: Any) -> Any:
    return found
