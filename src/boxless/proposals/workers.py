"""What is done with each image of a data set, wherever that is done."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from boxless.errors import BoxlessError, RunError
from boxless.proposals.imported import ImportedBoxes
from boxless.proposals.proposer import BoxSource
from boxless.types import ImageRecord, Proposals, UInt8Array

Outcome = Proposals | str


@dataclass(frozen=True, slots=True)
class ProposeOne:
    """Load one image and propose boxes on it; an unreadable one makes `load_image` raise."""

    proposer: BoxSource
    load_image: Callable[[str], UInt8Array]

    def check(self, records: Sequence[ImageRecord], *, skip_bad: bool) -> None:
        """Find faults that show before any box is written; see `ImportedBoxes.check`."""
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
        """The image's proposals, or why there are none; `RunError` if the machine is at fault."""
        path = record.path
        try:
            image = self.load_image(path)
        except RunError:
            raise
        except (BoxlessError, OSError, ValueError) as error:
            return str(error)
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            return f"expected (H, W, 3) uint8 pixels, found {image.shape} {image.dtype} in {path}"
        if isinstance(self.proposer, ImportedBoxes) and not self.proposer.has(record):
            return f"no boxes for it in {self.proposer.file}"
        try:
            boxes, scores = boxes_of(self.proposer, record, image)
        except Exception as error:
            error.add_note(f"while proposing boxes on {path}")
            raise
        return Proposals(boxes, scores, width=image.shape[1], height=image.shape[0])


def boxes_of(
    proposer: BoxSource, record: ImageRecord, image: UInt8Array
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes and scores of one image, found or imported."""
    if isinstance(proposer, ImportedBoxes):
        return proposer.at(record, image.shape[1], image.shape[0])
    return proposer(image)
