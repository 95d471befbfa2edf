"""How many true objects a set of proposals covers, beside random boxes of the same number.

Random boxes cover surprisingly many objects at IoU 0.5, so a recall says little without that row.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from boxless.errors import DataError
from boxless.metrics.boxes import iou
from boxless.proposals.store import ProposalStore
from boxless.types import Float32Array, ImageRecord

IOUS = (0.5, 0.7)
COUNTS = (10, 100, 300, 500)


@dataclass(frozen=True, slots=True)
class RecallRow:
    """Recall of one set of boxes at one overlap.

    Attributes:
        name: Whose boxes, such as ``"edge_boxes"`` or ``"random"``.
        iou: A true box counts as covered if some box overlaps it with at least this IoU.
        recalls: One value in [0, 1] for each of the table's ``counts``.
    """

    name: str
    iou: float
    recalls: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class RecallTable:
    """Recall over the true boxes of a data set that are not difficult.

    Attributes:
        counts: Numbers of best boxes per image that were considered.
        rows: One row for each set of boxes and overlap.
        objects: True boxes.
        images: Images that have true boxes.
    """

    counts: tuple[int, ...]
    rows: tuple[RecallRow, ...]
    objects: int
    images: int

    def recall(self, name: str, iou: float, count: int) -> float:
        """One value: of whose boxes, at which overlap, with how many of ``counts``."""
        row = next(row for row in self.rows if (row.name, row.iou) == (name, iou))
        return row.recalls[self.counts.index(count)]


def recall_table(
    store: ProposalStore,
    records: Sequence[ImageRecord],
    *,
    ious: tuple[float, ...] = IOUS,
    counts: tuple[int, ...] = COUNTS,
) -> RecallTable:
    """Recall of a store's boxes, and of random boxes on the same images.

    Args:
        store: Proposals of the records; images it skipped as unreadable are left out.
        records: Images; those without true boxes are left out.
        ious: Overlaps from which on an object counts as covered.
        counts: Numbers of best boxes per image to consider.

    Returns:
        Rows named after the store's proposer, then rows named ``"random"``.

    Raises:
        DataError: No record has a true box that is not difficult.
        StoreError: A record is not in the store.
    """
    skipped = dict(store.skipped)
    usable = [record for record in records if record.image_id not in skipped and truth(record).size]

    def found(record: ImageRecord) -> Float32Array:
        return store[record.image_id].boxes

    def random(record: ImageRecord) -> Float32Array:
        image = store[record.image_id]
        return random_boxes(image.width, image.height, max(counts), record.image_id)

    name = store.index.inputs.proposer
    rows = recall_rows(name, found, usable, ious=ious, counts=counts)
    rows += recall_rows("random", random, usable, ious=ious, counts=counts)
    objects = sum(len(truth(record)) for record in usable)
    return RecallTable(counts, tuple(rows), objects, len(usable))


def recall_rows(
    name: str,
    boxes_of: Callable[[ImageRecord], Float32Array],
    records: Sequence[ImageRecord],
    *,
    ious: tuple[float, ...] = IOUS,
    counts: tuple[int, ...] = COUNTS,
) -> list[RecallRow]:
    """Recall of any boxes, a row for each overlap; see `recall_table`.

    Args:
        name: Name for the rows.
        boxes_of: Record -> (R, 4) boxes, best first.
        records: Images; those without true boxes add nothing.
        ious: Overlaps from which on an object counts as covered.
        counts: Numbers of best boxes per image to consider.
    """
    best = []  # per image: (objects, counts) best overlap among the first boxes
    for record in records:
        true = truth(record)
        if not len(true):
            continue
        overlap = iou(true, boxes_of(record))
        running = np.maximum.accumulate(overlap, axis=1)
        best.append(running[:, np.minimum(counts, overlap.shape[1]) - 1])
    if not best:
        raise DataError(
            f"recall needs true boxes that are not difficult, found none in {len(records)} images",
            hint="recall can only be measured on data sets with boxes, such as VOC or COCO",
        )
    covered = np.concatenate(best)
    return [
        RecallRow(name, level, tuple(float(r) for r in (covered >= level).mean(axis=0)))
        for level in ious
    ]


def truth(record: ImageRecord) -> Float32Array:
    """(G, 4) true boxes of an image that are not difficult; (0, 4) where there are none."""
    boxes = [box.xyxy for box in record.boxes or () if not box.difficult]
    return np.array(boxes, np.float32).reshape(-1, 4)


def random_boxes(width: int, height: int, count: int, seed: str) -> Float32Array:
    """Boxes (count, 4) with uniformly random corners inside an image; same seed, same boxes."""
    digest = hashlib.sha256(seed.encode()).digest()
    random = np.random.default_rng(int.from_bytes(digest[:8], "big"))
    corners = np.sort(random.random((count, 2, 2)), axis=1).reshape(count, 4)
    return (corners * [width, height, width, height]).astype(np.float32)
