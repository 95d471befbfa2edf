"""The network of a server in a process of its own.

A thread that computes has to wait for Python's lock whenever it comes back from a kernel, behind
those that parse requests and decode images: that took a tenth of a server's throughput. A process
shares no lock with them, and is handed the next batch while it computes one.
"""

import os
import signal
from collections.abc import Callable, Collection
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess  # noqa: TC003  (one line for one import)
from queue import SimpleQueue
from threading import Lock, Thread

from boxless.errors import StoreError
from boxless.files.interrupts import interrupts_wait
from boxless.files.spawned import main_left_alone
from boxless.inference.predictor import Outputs, Predictor
from boxless.serving.faults import RequestError
from boxless.types import UInt8Array

Batches = SimpleQueue[UInt8Array | None]
LANES = 2
"""Batches that are under way: one is computed, one is there for when that is done."""


class Apart:
    """`Predictor.run` by another process; of several threads one waits for its turn, others for it.

    The process starts with the first batch, and anew if it has died.

    Args:
        predictor: The student, which the process opens by its path.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._path, self._threads = str(predictor.path), predictor.threads
        self._classes = predictor.classes
        self._cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set[int]()
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None
        self._sending, self._receiving = Lock(), Lock()

    def __call__(self, pixels: UInt8Array) -> Outputs:
        """See `Predictor.run`.

        Raises:
            RequestError: 503 if the process has died.
            StoreError: The student's file is no longer the one that was opened.
        """
        with self._sending:
            pipe = self._pipe or self._start()
            try:
                pipe.send(pixels)
            except OSError as error:
                raise self._died(pipe) from error
            self._receiving.acquire()  # so answers are taken in the order of what was sent
        try:
            found: Outputs | Exception = pipe.recv()
        except (EOFError, OSError) as error:
            raise self._died(pipe) from error
        finally:
            self._receiving.release()
        if isinstance(found, Exception):
            raise found
        return found

    def leave_cores(self) -> None:
        """Keep this thread, and those it starts from now on, off as many cores as it computes on.

        Does nothing where that would leave none, or where the system does not know of it.
        """
        if len(self._cores) > self._threads:
            _keep_to(sorted(self._cores)[self._threads :])

    def close(self) -> None:
        """End the process."""
        if self._pipe is not None:
            self._pipe.close()  # at which it ends by itself
        if self._process is not None:
            self._process.join(5)
            self._process.kill()
        self._process = self._pipe = None

    def _start(self) -> Connection:
        self.close()
        context = get_context("spawn")
        pipe, other = context.Pipe()
        what = (other, self._path, self._threads, self._classes, self._cores)
        process = context.Process(target=_compute, args=what, daemon=True)
        with interrupts_wait(), main_left_alone():
            process.start()
        other.close()
        self._process, self._pipe = process, pipe
        return pipe

    def _died(self, pipe: Connection) -> RequestError:
        if self._pipe is pipe:
            self._pipe = None
        return RequestError(
            503,
            "restarting",
            "the process that computes has died, most often for want of memory; it starts anew",
            hint="try again; the server's --batch-size says how much is computed at once",
            retry_after=2,
        )


def _compute(
    pipe: Connection, path: str, threads: int, classes: tuple[str, ...], cores: set[int]
) -> None:
    """Answer batches until the other end is closed."""
    _keep_to(cores)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server ends it, when all is answered
    run = _opened(path, threads, classes)
    batches: Batches = SimpleQueue()
    Thread(target=_take_in, args=(pipe, batches), daemon=True).start()
    while (pixels := batches.get()) is not None:
        try:
            answer: Outputs | Exception = run(pixels)
        except Exception as error:  # whatever it is, it must be told
            answer = error
        pipe.send(answer)


def _keep_to(cores: Collection[int]) -> None:
    if cores:
        with suppress(OSError):  # in a container that forbids it
            os.sched_setaffinity(0, cores)


def _take_in(pipe: Connection, batches: Batches) -> None:
    """Receive batches while others are computed."""
    try:
        while True:
            batches.put(pipe.recv())
    except (EOFError, OSError):
        batches.put(None)


def _opened(path: str, threads: int, classes: tuple[str, ...]) -> Callable[[UInt8Array], Outputs]:
    """The student's `run`; where it cannot be opened, what says why to every batch."""
    try:
        predictor = Predictor.load(path, threads=threads)
        if predictor.classes != classes:
            raise StoreError(f"{path} is not the student it was", hint="start the server again")
    except Exception as error:
        fault = error

        def refuse(_: UInt8Array) -> Outputs:
            raise fault

        return refuse
    return predictor.run
