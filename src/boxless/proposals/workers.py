"""What is done with each image of a data set, wherever that is done."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from boxless.errors import BoxlessError, RunError
from boxless.files.local_engine import available_cores
from boxless.proposals.imported import ImportedBoxes
from boxless.types import ImageRecord, Proposals

if TYPE_CHECKING:
    from boxless.proposals.proposer import BoxSource
    from boxless.types import UInt8Array

Outcome = Proposals | str


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

    def each(self, records: Sequence[ImageRecord]) -> list[Outcome]:
        """Outcomes of several images: what a worker does."""
        return [self(record) for record in records]

    def __call__(self, record: ImageRecord) -> Outcome:
        """Return the image's proposals, or why there are none.

        Raises:
            RunError: Not the image is at fault, but the machine.
        """
        path = record.path
        try:
            image = self.load_image(path)
        except RunError:
            raise
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


def works_in_process(proposer: "BoxSource") -> bool:
    """Whether a proposer reads a large file or loads a network, so that one process does it all.

    Args:
        proposer: Finds the boxes, or has them.
    """
    return bool(getattr(proposer, "in_process", False))


def worker_count(proposer: "BoxSource", asked: int, images: int) -> int:
    """Processes to work with: those asked for (0: all cores), but no more than images.

    Args:
        proposer: Finds the boxes, or has them.
        asked: 0 for all cores.
        images: Number of images.
    """
    if works_in_process(proposer):
        return 1
    return min(asked or available_cores(), images)
