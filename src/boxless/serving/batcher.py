"""Dynamic micro-batching: images of many requests are computed together.

A thread takes what is waiting, up to a batch, as soon as its last batch is done; an incomplete
batch waits for more images, at most the maximum batching delay. It works without the event loop, so
that the network is never idle while requests are parsed.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Condition, Thread
from time import perf_counter
from typing import Generic, TypeVar

import numpy as np

from boxless.serving.faults import RequestError
from boxless.types import UInt8Array

Result = TypeVar("Result")


@dataclass(slots=True)
class _Job(Generic[Result]):
    pixels: UInt8Array
    answer: "asyncio.Future[tuple[Result, int]]"
    queued: float


class Batcher(Generic[Result]):
    """A bounded queue in front of a network.

    Args:
        compute: (N, S, S, 3) pixels to results of N rows; called in a thread of its own.
        batch_size: Most images computed together.
        max_delay: Maximum batching delay: seconds that an incomplete batch waits, counted from its
            first image.
        queue_size: Most images with a place; see `places`.
        on_batch: Told size and seconds of each batch, and how long its first image waited.
        lanes: Threads, and batches that are under way together.
    """

    def __init__(
        self,
        compute: Callable[[UInt8Array], Result],
        *,
        batch_size: int,
        max_delay: float,
        queue_size: int,
        on_batch: Callable[[int, float, float], None],
        lanes: int = 1,
    ) -> None:
        self._compute, self._on_batch = compute, on_batch
        self._batch_size, self._max_delay = batch_size, max_delay
        self._queue_size = queue_size
        self._waiting: deque[_Job[Result]] = deque()
        self._change = Condition()
        self._closed = False
        self._taken = 0
        self._pace = 0.01  # seconds per image, smoothed
        self._threads = [
            Thread(target=self._work, name="boxless-batches", daemon=True) for _ in range(lanes)
        ]
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def taken(self) -> int:
        """Images that have a place now."""
        return self._taken

    @property
    def alive(self) -> bool:
        """Are all threads at work and open to new images?"""
        return all(thread.is_alive() for thread in self._threads) and not self._closed

    def start(self) -> None:
        """Start the threads; answers are delivered to the running event loop."""
        self._loop = asyncio.get_running_loop()
        for thread in self._threads:
            thread.start()

    async def close(self) -> None:
        """Answer what is waiting, then stop the threads."""
        with self._change:
            self._closed = True
            self._change.notify_all()
        for thread in self._threads:
            if thread.ident is not None:  # it was started
                await asyncio.to_thread(thread.join)

    @contextmanager
    def places(self, images: int) -> Iterator[None]:
        """Hold places in the queue from before images are decoded until they are answered.

        Raises:
            RequestError: 503 if there is no room for all of them.
        """
        if self._taken + images > self._queue_size:
            seconds = math.ceil(min(max(self._taken * self._pace, 1), 30))
            raise RequestError(
                503,
                "overloaded",
                f"the queue of {self._queue_size} images is full",
                hint=f"try again in {seconds} s",
                retry_after=seconds,
            )
        self._taken += images
        try:
            yield
        finally:
            self._taken -= images

    def submit(self, pixels: UInt8Array) -> "asyncio.Future[tuple[Result, int]]":
        """Put an image into the queue; to be called in the event loop, inside of `places`.

        Args:
            pixels: (S, S, 3).

        Returns:
            Future of a batch's results and the image's row. Cancelling it takes the image out.

        Raises:
            RequestError: 503 if the server is stopping.
        """
        if self._loop is None or self._closed:
            raise RequestError(503, "stopping", "the server is stopping", retry_after=5)
        job = _Job(pixels, self._loop.create_future(), perf_counter())
        with self._change:
            self._waiting.append(job)
            self._change.notify()
        return job.answer

    def _work(self) -> None:
        while (jobs := self._next_batch()) is not None:
            start = perf_counter()
            try:
                outcome: Result | Exception = self._compute(np.stack([job.pixels for job in jobs]))
            except Exception as error:  # whatever it is, each request must receive it
                outcome = error
            seconds = perf_counter() - start
            each = seconds / len(jobs) / len(self._threads)
            self._pace += 0.2 * (each - self._pace)
            self._on_batch(len(jobs), seconds, start - jobs[0].queued)
            assert self._loop is not None
            self._loop.call_soon_threadsafe(_deliver, jobs, outcome)

    def _next_batch(self) -> list[_Job[Result]] | None:
        """Wait for images; None when closed and everything is answered."""
        jobs: list[_Job[Result]] = []
        with self._change:
            while not jobs:
                self._change.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    return None
                left = self._waiting[0].queued + self._max_delay - perf_counter()
                self._change.wait_for(self._is_full, timeout=max(left, 0))
                while self._waiting and len(jobs) < self._batch_size:
                    job = self._waiting.popleft()
                    if not job.answer.done():  # its client is gone
                        jobs.append(job)
        return jobs

    def _is_full(self) -> bool:
        """Is there nothing to gain from waiting for more images?"""
        return len(self._waiting) >= self._batch_size or self._closed


def _deliver(jobs: list[_Job[Result]], outcome: Result | Exception) -> None:
    for row, job in enumerate(jobs):
        if job.answer.done():
            continue
        if isinstance(outcome, Exception):
            job.answer.set_exception(outcome)
        else:
            job.answer.set_result((outcome, row))
