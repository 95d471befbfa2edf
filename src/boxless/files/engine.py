"""What an engine is: it maps a pure function over units of work, in order; and this machine as one.

A step that leaves this machine cuts its images into units, hands an engine a picklable function
from a unit to its result, and writes the results itself, in order. So all engines give the same
bytes, and whatever is written is written by one process.
"""

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from typing import Literal, Protocol, TypeVar

from boxless.errors import RunError
from boxless.files.interrupts import interrupts_wait
from boxless.files.spawned import main_left_alone

Unit = TypeVar("Unit")
Answer = TypeVar("Answer")

EngineName = Literal["local", "ray"]

SHARED_FILES = (
    "workers read images by their path: it must lead to the same file on every node of the cluster"
    " (a shared file system, or object storage such as s3://)"
)


class Engine(Protocol):
    """Works on units, in parallel.

    Attributes:
        images_per_unit: How many images a unit best holds.
        elsewhere: Whether units are worked on by machines that may see other files than this one.
    """

    images_per_unit: int
    elsewhere: bool

    def map(self, function: Callable[[Unit], Answer], units: Iterable[Unit]) -> Iterator[Answer]:
        """Answers of all units, in order; units are taken little by little.

        Args:
            function: Picklable, and depends on its unit alone: it may run twice for one unit.
            units: Picklable.

        Yields:
            ``function(unit)``. Close the iterator to stop early.

        Raises:
            BoxlessError: As raised by the function.
            RunError: Workers died, or could not be reached.
        """


def not_shared(path: str, reason: str) -> RunError:
    """The error for an image that this machine can read and a worker, for a reason, cannot."""
    return RunError(
        f"a worker cannot open {path}, which this machine can: {reason}", hint=SHARED_FILES
    )


AHEAD = 4  # units per worker that wait or are being worked on


class LocalEngine:
    """Works on the cores of this machine; see `boxless.files.engine.Engine`.

    Args:
        workers: Processes; 1 works in this process, where nothing needs to be picklable.
    """

    images_per_unit = 4
    elsewhere = False

    def __init__(self, workers: int = 1) -> None:
        self.workers = workers

    def map(self, function: Callable[[Unit], Answer], units: Iterable[Unit]) -> Iterator[Answer]:
        """See `boxless.files.engine.Engine.map`."""
        if self.workers == 1:
            yield from map(function, units)
            return
        # 'spawn': forking a process that has threads (torch, OpenCV) can deadlock.
        pool = ProcessPoolExecutor(self.workers, get_context("spawn"), initializer=_prepare_process)
        waiting: deque[Future[Answer]] = deque()
        try:
            for unit in units:
                with interrupts_wait(), main_left_alone():
                    waiting.append(pool.submit(function, unit))
                if len(waiting) == AHEAD * self.workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise RunError(
                f"a worker process died (of {self.workers}); most often the machine ran out of"
                " memory",
                hint="run the same again with fewer workers; finished shards are kept",
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def one_opencv_thread() -> None:
    """Keep OpenCV to one thread in a process that shares its machine with others like it."""
    try:
        import cv2  # noqa: PLC0415  (optional)
    except ImportError:
        return
    cv2.setNumThreads(1)


def _prepare_process() -> None:
    """End at Ctrl-C without a word; one OpenCV thread; never outlive the parent."""
    if hasattr(signal, "pthread_sigmask"):
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    one_opencv_thread()
    parent = parent_process()
    if parent is not None:

        def watch() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=watch, daemon=True).start()
