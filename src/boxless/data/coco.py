"""Read ``coco:DIR``: MS-COCO 2014 or 2017 with the official instance annotations.

Training images are ``train2014`` or ``train2017``, test images ``val2014`` or ``val2017`` (COCO
keeps the annotations of its own test images). Images without any annotated object are left out,
as in Liu et al. 2018: 82,081 and 40,137 images are left of the 2014 edition.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from boxless.data.coco_json import CocoInstances, read_instances
from boxless.data.image_files import keep_existing, require_inside
from boxless.data.manifest import Manifest
from boxless.data.options import split_options
from boxless.errors import DataError
from boxless.types import ABSENT, PRESENT, ImageRecord, TrueBox

OPTIONS = ("year", "unlabelled", "missing", "outside")
YEARS = ("2014", "2017")
_SPLITS = {"train": "train", "val": "test"}


def read(location: str) -> Manifest:
    """Read a folder with COCO's official annotations.

    Tags are all categories with an object in the image, crowds included. Boxes serve evaluation
    only: continuous ``(x, y, x + w, y + h)``; crowds are marked difficult, so they neither count
    as found nor as missed. A box without area (there are a few in COCO) stays a tag and is left
    out as a box.

    Args:
        location: ``DIR[,OPTION=VALUE…]``. The folder holds ``annotations/instances_train2014.json``
            and ``instances_val2014.json`` (or 2017), and images in ``train2014``, ``val2014`` or
            ``images/train2014`` and so on. Options: ``year=2014|2017``, needed where both are
            there; ``unlabelled=drop|keep`` for images without any object; ``missing=error|drop``
            for images without a file; ``outside=refuse|allow`` for file names that lead out of the
            folder.

    Returns:
        Manifest with splits ``train`` and ``test`` (validation images); classes in the order of
        COCO's category ids, image ids as COCO numbers them.

    Raises:
        DataError: Something is missing, malformed or contradictory; the message says where.
    """
    root, options = split_options("coco", location, OPTIONS)
    files = _annotation_files(root, options.one_of("year", "", *YEARS))
    keep_unlabelled = options.one_of("unlabelled", "drop", "keep") == "keep"
    allow_outside = options.one_of("outside", "refuse", "allow") == "allow"
    drop_missing = options.one_of("missing", "error", "drop") == "drop"
    records: list[ImageRecord] = []
    notes: list[str] = []
    first: tuple[str, ...] = ()
    for split, path in files.items():
        found = read_instances(path)
        require_inside(
            ((name, f"{path}: image {key}") for key, name in found.images.items()),
            spec=f"coco:{location},outside=allow",
            allow=allow_outside,
        )
        classes = tuple(found.categories[key] for key in sorted(found.categories))
        if first and classes != first:
            raise DataError(f"{path}: its categories differ from those of the training file")
        first = classes
        split_records, split_notes = _records(found, _image_folder(root, path), split)
        kept = split_records
        if not keep_unlabelled:
            kept = [record for record in split_records if any(record.labels)]
            split_notes += _dropped(split, len(split_records), len(kept))
        records += kept
        notes += split_notes
    existing, missing_note = keep_existing(
        records, drop=drop_missing, spec=f"coco:{location},missing=drop"
    )
    year = next(iter(files.values())).stem[-4:]
    if "test" not in files:
        notes.append(f"no instances_val{year}.json: the split is train")
    return Manifest(f"coco{year}", first, tuple(existing), (*notes, *missing_note))


def _annotation_files(root: Path, year: str) -> dict[str, Path]:
    """Annotation file of each split."""
    if not root.is_dir():
        found = "a file" if root.exists() else "nothing"
        raise DataError(f"expected a folder with COCO's annotations at {root}, found {found}")
    places = (root / "annotations", root)
    there = {
        (name, edition): place / f"instances_{name}{edition}.json"
        for place in reversed(places)
        for name in _SPLITS
        for edition in YEARS
        if (place / f"instances_{name}{edition}.json").is_file()
    }
    editions = [edition for edition in YEARS if ("train", edition) in there]
    if not editions or (year and year not in editions):
        raise DataError(
            f"expected annotations/instances_train{year or '2014'}.json in {root}, "
            f"found {', '.join(sorted(path.name for path in there.values())) or 'none'}",
            hint="unpack annotations_trainval2014.zip (or 2017) of cocodataset.org there",
        )
    if not year and len(editions) > 1:
        raise DataError(
            f"{root} holds the editions {' and '.join(editions)}, expected to be told which",
            hint=f"write coco:{root},year={editions[0]}",
        )
    chosen = year or editions[0]
    return {
        split: there[name, chosen] for name, split in _SPLITS.items() if (name, chosen) in there
    }


def _image_folder(root: Path, annotations: Path) -> Path:
    name = annotations.stem.removeprefix("instances_")
    inner = root / "images" / name
    return inner if inner.is_dir() and not (root / name).is_dir() else root / name


def _records(found: CocoInstances, folder: Path, split: str) -> tuple[list[ImageRecord], list[str]]:
    """One record an image, in file order, and how many boxes had no area."""
    positions = {key: index for index, key in enumerate(sorted(found.categories))}
    objects = _Objects(found, positions)
    seen: dict[tuple[int, ...], tuple[int, ...]] = {}  # images with the same tags share one tuple
    records = []
    for image_id, name in found.images.items():
        labels = [ABSENT] * len(positions)
        rows = objects.rows(image_id)
        for label in objects.labels[rows]:
            labels[label] = PRESENT
        shared = tuple(labels)
        records.append(
            ImageRecord(
                image_id=str(image_id),
                path=f"{folder}/{name}",
                split=split,
                labels=seen.setdefault(shared, shared),
                boxes=objects.boxes(rows),
                source=f"{found.path}: image {image_id}",
            )
        )
    flat = int(objects.flat.sum())
    notes = [f"{split}: {flat} boxes without area count as tags only"] if flat else []
    return records, notes


class _Objects:
    """All objects of a file, grouped by image; rows of an image are found by its id."""

    def __init__(self, found: CocoInstances, positions: dict[int, int]) -> None:
        image_ids = np.asarray(found.image_ids, np.int64)
        order = np.argsort(image_ids, kind="stable")
        keys, starts = np.unique(image_ids[order], return_index=True)
        edges = pairwise([*starts.tolist(), len(order)])
        self._rows = {key: slice(*edge) for key, edge in zip(keys.tolist(), edges, strict=True)}
        categories = np.asarray(found.category_ids, np.int64)[order]
        known, places = np.unique(categories, return_inverse=True)
        columns = np.array([positions[int(key)] for key in known], np.int64)
        self.labels = columns[places]
        self._crowds = np.asarray(found.crowds, np.int8)[order] == 1
        corners = np.asarray(found.boxes, np.float64).reshape(-1, 4)[order]
        corners[:, 2:] += corners[:, :2]
        self._corners = corners
        self.flat = np.any(corners[:, 2:] <= corners[:, :2], axis=1)

    def rows(self, image_id: int) -> slice:
        return self._rows.get(image_id, slice(0, 0))

    def boxes(self, rows: slice) -> tuple[TrueBox, ...]:
        columns = (self.labels, self._corners, self._crowds, self.flat)
        return tuple(_boxes(*(column[rows].tolist() for column in columns)))


def _boxes(
    labels: Sequence[int],
    corners: Sequence[Sequence[float]],
    crowds: Sequence[bool],
    flat: Sequence[bool],
) -> Iterator[TrueBox]:
    for label, (x1, y1, x2, y2), crowd, empty in zip(labels, corners, crowds, flat, strict=True):
        if not empty:
            yield TrueBox(label, (x1, y1, x2, y2), crowd)


def _dropped(split: str, before: int, after: int) -> list[str]:
    if before == after:
        return []
    return [
        f"{split}: {before - after:,} of {before:,} images show no annotated object and are left "
        "out (unlabelled=keep keeps them)"
    ]
