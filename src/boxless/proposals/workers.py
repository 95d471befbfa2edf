"""The same function over many images, on all cores, in order."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from typing import TYPE_CHECKING

import numpy as np

from boxless.errors import BoxlessError, RunError
from boxless.proposals.imported import ImportedBoxes
from boxless.types import ImageRecord, Proposals

if TYPE_CHECKING:
    from boxless.proposals.proposer import BoxSource
    from boxless.types import UInt8Array

CHUNK = 4  # images handed to a worker at a time

Outcome = Proposals | str
MapImages = Callable[[Sequence[ImageRecord]], Iterator[Outcome]]


@dataclass(frozen=True, slots=True)
class ProposeOne:
    """Load one image and propose boxes on it.

    Attributes:
        proposer: Finds the boxes, or has them.
        load_image: Path -> (H, W, 3) uint8; raises for an unreadable image.
    """

    proposer: "BoxSource"
    load_image: "Callable[[str], UInt8Array]"

    def check(self, records: Sequence[ImageRecord], *, skip_bad: bool) -> None:
        """Find faults that show before any box is written; only imported boxes have such.

        Args:
            records: The images.
            skip_bad: Images without boxes will be left out.

        Raises:
            DataError: Images are missing from the imported file, or a box in it is unusable.
        """
        if isinstance(self.proposer, ImportedBoxes):
            self.proposer.check(records, self._size, skip_bad=skip_bad)

    def _size(self, record: ImageRecord) -> tuple[int, int] | None:
        try:
            height, width = self.load_image(record.path).shape[:2]
        except (BoxlessError, OSError, ValueError):
            return None  # told when its turn comes
        return width, height

    def __call__(self, record: ImageRecord) -> Outcome:
        """Return the image's proposals, or why there are none."""
        path = record.path
        try:
            image = self.load_image(path)
        except (BoxlessError, OSError, ValueError) as error:
            return str(error)
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            return f"expected (H, W, 3) uint8 pixels, found {image.shape} {image.dtype} in {path}"
        height, width = image.shape[:2]
        if isinstance(self.proposer, ImportedBoxes):
            if not self.proposer.has(record):
                return f"no boxes for it in {self.proposer.file}"
            boxes, scores = self.proposer.at(record, width, height)
            return Proposals(boxes, scores, width=width, height=height)
        try:
            boxes, scores = self.proposer(image)
        except Exception as error:
            error.add_note(f"while proposing boxes on {path}")
            raise
        return Proposals(boxes, scores, width=width, height=height)


def worker_count(proposer: "BoxSource", asked: int, images: int) -> int:
    """Processes to work with: those asked for (0: all cores), but no more than images.

    What reads a large file or loads a network does so once, and works in this process.

    Args:
        proposer: Finds the boxes, or has them.
        asked: 0 for all cores.
        images: Number of images.
    """
    if getattr(proposer, "in_process", False):
        return 1
    return min(asked or available_cores(), images)


def available_cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def image_mapper(one: ProposeOne, workers: int) -> Iterator[MapImages]:
    """Open a way to run `ProposeOne` over images.

    Args:
        one: What to do with each image; must be picklable if ``workers`` is not 1.
        workers: Processes; 1 works in this process.

    Yields:
        Function from records to their outcomes, in order.

    Raises:
        RunError: A worker process died.
    """
    if workers == 1:
        yield lambda records: map(one, records)
        return
    # 'spawn': forking a process that has threads (torch, OpenCV) can deadlock.
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_prepare_worker)
    try:
        yield lambda records: pool.map(one, records, chunksize=CHUNK)
    except BrokenProcessPool as error:
        raise RunError(
            f"a worker process died (of {workers}); most often the machine ran out of memory",
            hint="run the same again with fewer workers; finished shards are kept. (A script of "
            "your own must call this under `if __name__ == '__main__':`, or use workers=1)",
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _prepare_worker() -> None:
    """One OpenCV thread a process, and no process that outlives its parent."""
    try:
        import cv2  # noqa: PLC0415  (optional)

        cv2.setNumThreads(1)
    except ImportError:
        pass
    parent = parent_process()
    if parent is not None:

        def watch() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=watch, daemon=True).start()
