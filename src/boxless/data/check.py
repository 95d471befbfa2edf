"""Look a data set over: counts, class balance, unreadable files, duplicates, contradictions."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from boxless.data.images import BadImage, find_bad_images
from boxless.data.leaks import equal_images
from boxless.data.manifest import Manifest
from boxless.data.readiness import shortcomings
from boxless.files.paths import file_size
from boxless.types import ABSENT, PRESENT, UNKNOWN, ImageRecord


@dataclass(frozen=True, slots=True)
class ClassCount:
    """How often a class occurs.

    Attributes:
        name: The class.
        present: Images with the tag, by split.
        unknown: Images where it is unknown, by split.
    """

    name: str
    present: dict[str, int]
    unknown: dict[str, int]


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Tags and boxes of one class that contradict each other.

    Attributes:
        name: The class.
        tag_without_box: Images tagged with the class that have no box of it.
        box_without_tag: Images with a box of the class whose tag says absent, or unknown though a
            box is not difficult.
        examples: Up to three of these images' ids.
    """

    name: str
    tag_without_box: int
    box_without_tag: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What `check_manifest` found.

    Attributes:
        name: Name of the data set.
        images: Images by split.
        tags_per_image: Mean number of present tags by split.
        histogram: Number of images by number of present tags, all splits together.
        classes: One entry per class, in manifest order.
        imbalance: Most frequent over least frequent class in the first split; None where a class
            never occurs there.
        without_tags: Images without any present tag (they are kept).
        reading: What the reader took for what, a line for each file.
        notes: What the reader decided.
        needs: What training would stumble over or should be told, one sentence each.
        disagreements: Classes whose tags and boxes contradict each other; tags win.
        looked_at_images: Whether the two findings below were looked for.
        bad_images: Images that cannot be decoded.
        duplicates: Groups of ids of byte-identical files that span more than one split.
        repeated: Number of byte-identical extra copies within a split.
        fingerprint: The manifest's; None where image files are missing or were not looked at.
    """

    name: str
    images: dict[str, int]
    tags_per_image: dict[str, float]
    histogram: dict[int, int]
    classes: tuple[ClassCount, ...]
    imbalance: float | None
    without_tags: int
    reading: tuple[str, ...]
    notes: tuple[str, ...]
    needs: tuple[str, ...]
    disagreements: tuple[Disagreement, ...]
    looked_at_images: bool = False
    bad_images: tuple[BadImage, ...] = ()
    duplicates: tuple[tuple[str, ...], ...] = ()
    repeated: int = 0
    fingerprint: str | None = None


def check_manifest(
    manifest: Manifest,
    *,
    images: bool = True,
    workers: int | None = None,
    on_done: Callable[[], None] | None = None,
) -> CheckReport:
    """Look a data set over.

    Args:
        manifest: The data set.
        images: Also decode every image and look for byte-identical files.
        workers: Threads for decoding.
        on_done: Called once for each decoded image.

    Returns:
        The findings; nothing is raised for them.
    """
    positive = manifest.labels == PRESENT
    unknown = manifest.labels == UNKNOWN
    members = {
        name: np.array([record.split == name for record in manifest.records])
        for name in manifest.split_names
    }
    per_image = positive.sum(axis=1)
    first = positive[members[manifest.split_names[0]]].sum(axis=0)
    bad: list[BadImage] = []
    crossing: list[tuple[str, ...]] = []
    repeated = 0
    if images:
        bad = find_bad_images(manifest.records, workers=workers, on_done=on_done)
        crossing, repeated = _duplicates(manifest)
    missing = any(not _is_there(item.record) for item in bad) or not images
    return CheckReport(
        name=manifest.name,
        images={name: int(rows.sum()) for name, rows in members.items()},
        tags_per_image={name: float(per_image[rows].mean()) for name, rows in members.items()},
        histogram={int(k): n for k, n in sorted(Counter(per_image.tolist()).items())},
        classes=tuple(
            ClassCount(
                name,
                {split: int(positive[rows, k].sum()) for split, rows in members.items()},
                {split: int(unknown[rows, k].sum()) for split, rows in members.items()},
            )
            for k, name in enumerate(manifest.classes)
        ),
        imbalance=float(first.max() / first.min()) if first.min() else None,
        without_tags=int((per_image == 0).sum()),
        reading=manifest.reading,
        notes=manifest.notes,
        needs=shortcomings(manifest),
        disagreements=_disagreements(manifest),
        looked_at_images=images,
        bad_images=tuple(bad),
        duplicates=tuple(crossing),
        repeated=repeated,
        fingerprint=None if missing else manifest.fingerprint,
    )


def _is_there(record: ImageRecord) -> bool:
    return record.path.startswith("scenes:") or file_size(record.path) is not None


def _duplicates(manifest: Manifest) -> tuple[list[tuple[str, ...]], int]:
    """Groups of equal files across splits, and extra copies within splits."""
    crossing = []
    repeated = 0
    for group in equal_images([manifest.records], lambda group: len(group) > 1):
        splits = Counter(record.split for _, record in group)
        repeated += sum(count - 1 for count in splits.values())
        if len(splits) > 1:
            crossing.append(tuple(record.image_id for _, record in group))
    return crossing, repeated


def _disagreements(manifest: Manifest) -> tuple[Disagreement, ...]:
    without_box: dict[int, list[str]] = {}
    without_tag: dict[int, list[str]] = {}
    for record in manifest.records:
        if record.boxes is None:
            continue
        boxed = {box.label for box in record.boxes}
        clear = {box.label for box in record.boxes if not box.difficult}
        for k, label in enumerate(record.labels):
            if label == PRESENT and k not in boxed:
                without_box.setdefault(k, []).append(record.image_id)
            if (label == ABSENT and k in boxed) or (label == UNKNOWN and k in clear):
                without_tag.setdefault(k, []).append(record.image_id)
    return tuple(
        Disagreement(
            manifest.classes[k],
            len(without_box.get(k, ())),
            len(without_tag.get(k, ())),
            tuple((without_box.get(k, []) + without_tag.get(k, []))[:3]),
        )
        for k in sorted(without_box.keys() | without_tag.keys())
    )
