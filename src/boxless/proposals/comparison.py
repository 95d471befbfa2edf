"""Proposers side by side on the same images: what they cover, how many boxes, how long."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from boxless.errors import DataError
from boxless.proposals.imported import ImportedBoxes
from boxless.proposals.proposer import BoxSource
from boxless.proposals.recall import COUNTS, random_boxes, recall_rows, truth
from boxless.proposals.workers import boxes_of
from boxless.types import Float32Array, ImageRecord, UInt8Array

CURVE = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 400, 500)


@dataclass(frozen=True, slots=True)
class MethodResult:
    """What one proposer did on the images.

    Attributes:
        name: Its name, such as ``"edge_boxes"``.
        recall: IoU -> recall in [0, 1] for each of the comparison's ``counts``.
        boxes: Mean number of boxes per image.
        milliseconds: Mean wall time per image of proposing alone, on one core, decoding left out;
            None for boxes from a file and for random ones.
        cpu_milliseconds: The same in processor time of this process, which other work on the
            machine disturbs less.
    """

    name: str
    recall: dict[float, tuple[float, ...]]
    boxes: float
    milliseconds: float | None = None
    cpu_milliseconds: float | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Proposers on the same images.

    Attributes:
        counts: Numbers of best boxes per image that recall is given for, rising.
        images: Images with true boxes that are not difficult; the others are not looked at.
        objects: Such boxes.
        methods: One result a proposer, in the order asked for; random boxes come last.
    """

    counts: tuple[int, ...]
    images: int
    objects: int
    methods: tuple[MethodResult, ...]


def choose(records: Sequence[ImageRecord], limit: int) -> list[ImageRecord]:
    """At most ``limit`` (0: all) images with true boxes, evenly spaced over the list.

    Raises:
        DataError: None has a true box that is not difficult.
    """
    usable = [record for record in records if len(truth(record))]
    if not usable:
        raise DataError(
            f"recall needs true boxes that are not difficult, found none in {len(records)} images",
            hint="proposers can only be compared on data sets with boxes, such as VOC or COCO",
        )
    if not limit or limit >= len(usable):
        return usable
    return [usable[row * len(usable) // limit] for row in range(limit)]


def compare(
    records: Sequence[ImageRecord],
    proposers: Sequence[BoxSource],
    *,
    load_image: Callable[[str], UInt8Array],
    counts: tuple[int, ...] = COUNTS,
    progress: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Run proposers over images and measure them; random boxes are the last method.

    Each image is decoded once. A proposer sees one image before it is timed, so that loading of
    networks and libraries does not count.

    Args:
        records: Images with true boxes; see `choose`.
        proposers: What to compare; names must differ.
        load_image: Path -> (H, W, 3) uint8 RGB.
        counts: Numbers of best boxes per image to give recall for; those of `CURVE` come along.
        progress: Called with (images done, images in all).

    Raises:
        DataError: An image is unreadable, or an imported file lacks it.
    """
    report = progress or (lambda *_: None)
    most = max(counts)
    counts = tuple(sorted({*counts, *(count for count in CURVE if count <= most)}))
    found: list[dict[str, Float32Array]] = [{} for _ in range(len(proposers) + 1)]
    wall, cpu = np.zeros(len(proposers)), np.zeros(len(proposers))
    report(0, len(records))
    for number, record in enumerate(records):
        image = load_image(record.path)
        height, width = image.shape[:2]
        for row, proposer in enumerate(proposers):
            if number == 0:
                boxes_of(proposer, record, image)
            start, cpu_start = time.perf_counter(), time.process_time()
            found[row][record.image_id] = boxes_of(proposer, record, image)[0][:most]
            wall[row] += time.perf_counter() - start
            cpu[row] += time.process_time() - cpu_start
        found[-1][record.image_id] = random_boxes(width, height, most, record.image_id)
        report(number + 1, len(records))

    def result(row: int, name: str) -> MethodResult:
        boxes = found[row]
        rows = recall_rows(name, lambda r: boxes[r.image_id], records, counts=counts)
        mean = float(np.mean([len(some) for some in boxes.values()]))
        recall = {entry.iou: entry.recalls for entry in rows}
        if row == len(proposers) or isinstance(proposers[row], ImportedBoxes):
            return MethodResult(name, recall, mean)
        each = 1000 / len(records)
        return MethodResult(name, recall, mean, float(wall[row] * each), float(cpu[row] * each))

    names = [*(proposer.name for proposer in proposers), "random"]
    objects = sum(len(truth(record)) for record in records)
    methods = tuple(result(row, name) for row, name in enumerate(names))
    return Comparison(counts, len(records), objects, methods)
