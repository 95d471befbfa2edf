"""Read ``coco:PATH``: annotations in COCO's format, the official ones or any program's.

Of MS-COCO 2014 and 2017 the training images are ``train2014`` or ``train2017``, the test images
``val2014`` or ``val2017`` (COCO keeps the annotations of its own test images). Images without any
annotated object are left out, as in Liu et al. 2018: 82,081 and 40,137 images are left of the 2014
edition. Roboflow, CVAT, Label Studio, FiftyOne and others write the same format under other names.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from boxless.data.coco_json import CocoInstances, read_instances
from boxless.data.image_places import ImagePlaces
from boxless.data.manifest import Manifest
from boxless.data.options import split_options
from boxless.data.settle import OPTIONS as COMMON
from boxless.data.settle import settle
from boxless.data.splits import split_name
from boxless.errors import DataError
from boxless.types import ABSENT, PRESENT, ImageRecord, TrueBox

OPTIONS = ("year", "outside", "root", *COMMON)
YEARS = ("2014", "2017")
_OTHER_KINDS = re.compile(r"captions|keypoints|panoptic|stuff|image_info|unlabeled|\.caption")


def read(location: str) -> Manifest:
    """Read annotations in COCO's format.

    Tags are all categories with an object in the image, crowds included. Boxes serve evaluation
    only: continuous ``(x, y, x + w, y + h)``; crowds are marked difficult, so they neither count
    as found nor as missed. An object without a box, or with one that has no area, is a tag only.

    Args:
        location: ``DIR[,OPTION=VALUE…]`` or ``FILE.json[,…]``. A folder holds files such as
            ``annotations/instances_train2014.json`` or ``train/_annotations.coco.json``; images
            are looked for in ``train2014``, ``images/train2014``, ``images`` and so on. Options:
            ``test=FILE`` and ``val=FILE`` are the annotations of these parts; ``year=2014|2017``
            is needed where both are there; ``root=DIR`` is the folder of the images;
            ``outside=refuse|allow`` is about file names that lead out of it; and those of
            `boxless.data.settle.settle`.

    Returns:
        Manifest; classes in the order of the category ids, image ids as numbered in the file, with
        the split before them where files use the same ids.

    Raises:
        DataError: Something is missing, malformed or contradictory; the message says where.
    """
    root, options = split_options("coco", location, OPTIONS)
    if root.is_file():
        others, options = options.part_files(root.parent)
        files = {"train" if others else "": root}
        files |= {part: Path(str(path)) for part, path in others.items()}
        year, name = "", root.stem if root.stem != "_annotations.coco" else root.parent.name
    else:
        files = _annotation_files(root, options.one_of("year", "", *YEARS))
        year = next((edition for edition in YEARS for f in files.values() if edition in f.stem), "")
        name = f"coco{year}" if year else root.name
    options = options.with_class_file(root if root.is_dir() else root.parent)
    parts = {split: read_instances(path) for split, path in files.items()}
    classes, notes = _classes(list(parts.values()))
    shared = {
        key for key, n in Counter(k for p in parts.values() for k in p.images).items() if n > 1
    }
    records: list[ImageRecord] = []
    for split, found in parts.items():
        places = ImagePlaces(
            [root if root.is_dir() else found.path.parent, *_image_folders(root, found.path)],
            options,
            spec=f"coco:{location},outside=allow",
        )
        ids = {key: f"{split}/{key}" if key in shared else key for key in found.images}
        part, said = _records(found, places, ids, split, classes)
        records += part
        notes += [f"{split}: {note}" if split else note for note in (*said, *places.notes)]
    if shared:
        notes.append(
            f"{len(shared)} image ids stand in several files: the split is put before them"
        )
    if not any(record.boxes for record in records):
        records = [replace(record, boxes=None) for record in records]
    if set(files) == {"train"} and not options.text("test"):
        notes.append("no annotations of test images: the split is train (test=20% draws some)")
    draft = Manifest(name, classes, tuple(records), tuple(notes))
    return settle(draft, options, location=location, unlabelled="drop" if year else "keep")


def _annotation_files(root: Path, year: str) -> dict[str, Path]:
    """Annotation file of each split; "" for one that names none."""
    if not root.is_dir():
        found = "a file" if root.exists() else "nothing"
        raise DataError(f"expected a folder with COCO's annotations at {root}, found {found}")
    there = _candidates(root)
    editions = sorted({path.stem[-4:] for path in there if path.stem[-4:] in YEARS})
    if year and year not in editions:
        raise DataError(
            f"expected annotations/instances_train{year}.json in {root}, "
            f"found {', '.join(sorted(path.name for path in there)) or 'none'}",
            hint=f"unpack annotations_trainval{year}.zip of cocodataset.org there",
        )
    if not year and len(editions) > 1:
        raise DataError(
            f"{root} holds the editions {' and '.join(editions)}, expected to be told which",
            hint=f"write coco:{root},year={editions[0]}",
        )
    if editions:
        there = [path for path in there if path.stem.endswith(year or editions[0])]
    if not there:
        raise DataError(
            f"expected annotations/instances_train2014.json in {root}, found none",
            hint="unpack annotations_trainval2014.zip (or 2017) of cocodataset.org there, or name "
            f"the file: coco:{root}/FILE.json",
        )
    files: dict[str, Path] = {}
    for path in there:
        split = _split_of(path, root)
        if split in files:
            raise DataError(
                f"{root}: {files[split].name} and {path.name} may both be the annotations"
                + (f" of {split}" if split else ""),
                hint=f"say which: coco:{files[split]},test={path}, or one alone: coco:{path}",
            )
        files[split] = path
    order = ("train", "val", "test", *files)
    return {split: files[split] for split in dict.fromkeys(order) if split in files}


def _candidates(root: Path) -> list[Path]:
    """Annotation files of a folder: those of known names, else any that may be one."""
    found: dict[str, Path] = {}
    for pattern in ("annotations/*.json", "*.json", "*/*.json"):
        for path in sorted(root.glob(pattern)):
            if not _OTHER_KINDS.search(path.name):
                found.setdefault(path.name if pattern != "*/*.json" else str(path), path)
    paths = list(dict.fromkeys(found.values()))
    known = [p for p in paths if p.name.startswith("instances_") or p.name.endswith(".coco.json")]
    places = (root, root / "annotations")
    return known or [p for p in paths if p.parent in places or split_name(p.parent.name)]


def _split_of(path: Path, root: Path) -> str:
    """The split that a file's name, or its folder's, tells; "" where they tell none."""
    inner = path.parent.name if path.parent not in (root, root / "annotations") else ""
    words = [*re.split(r"[^A-Za-z]+", path.stem), inner]
    return next((name for word in words if (name := split_name(word)) is not None), "")


def _image_folders(root: Path, annotations: Path) -> list[Path]:
    """Folders in which the images of an annotation file may lie, the likeliest first."""
    name = annotations.stem.removeprefix("instances_")
    beside = annotations.parent
    above = [beside.parent] if beside.name == "annotations" else []
    tops = dict.fromkeys([*above, *([root] if root.is_dir() else []), beside])
    parts = (name, f"images/{name}", "images", "data")
    inner = [folder / part for folder in tops for part in parts]
    return [*inner, beside, *tops]


def _classes(parts: Sequence[CocoInstances]) -> tuple[tuple[str, ...], list[str]]:
    """Names of all categories, in the order of their ids, and what to tell about them."""
    names: dict[str, None] = {}
    for found in parts:
        keys = list(found.categories)
        if all(key.lstrip("-").isdecimal() for key in keys):
            keys.sort(key=int)
        names.update(dict.fromkeys(found.categories[key] for key in keys))
    notes = []
    for found in parts:
        lacks = [name for name in names if name not in found.categories.values()]
        if lacks:
            notes.append(f"{found.path.name} lacks the categories {', '.join(lacks[:8])}")
        twice = [n for n, count in Counter(found.categories.values()).items() if count > 1]
        if twice:
            notes.append(f"{found.path.name} names a category twice, taken as one: {twice[0]!r}")
        if not found.image_ids:
            notes.append(f"{found.path.name} has no annotations: none of its images has a tag")
    used = {found.categories[key] for found in parts for key in found.keys["category"]}
    parents = {
        parent
        for found in parts
        for key, parent in found.parents.items()
        if parent != found.categories[key]
    }
    groups = [name for name in names if name in parents and name not in used]
    if groups and len(groups) < len(names):
        notes.append(f"categories that only group others are left out: {', '.join(groups)}")
        names = {name: None for name in names if name not in groups}
    return tuple(names), notes


def _records(
    found: CocoInstances,
    places: ImagePlaces,
    ids: Mapping[str, str],
    split: str,
    classes: Sequence[str],
) -> tuple[list[ImageRecord], list[str]]:
    """One record per image, in file order, and how many objects have no box."""
    columns = {name: place for place, name in enumerate(classes)}
    objects = _Objects(found, columns)
    seen: dict[tuple[int, ...], tuple[int, ...]] = {}  # images with the same tags share one tuple
    records = []
    for key, name in found.images.items():
        labels = [ABSENT] * len(classes)
        rows = objects.rows(found.keys["image"].get(key, -1))
        for label in objects.labels[rows]:
            labels[label] = PRESENT
        shared = tuple(labels)
        source = f"{found.path}: image {key}"
        records.append(
            ImageRecord(
                image_id=ids[key],
                path=places.locate(name, source),
                split=split,
                labels=seen.setdefault(shared, shared),
                boxes=objects.boxes(rows),
                source=source,
            )
        )
    flat, none = int(objects.flat.sum()), int(objects.none.sum())
    notes = [f"{flat} boxes without area count as tags only"] if flat else []
    if none:
        notes.append(f"{none} objects without a box count as tags only")
    return records, notes


class _Objects:
    """All objects of a file, grouped by image; rows of an image are found by its place."""

    def __init__(self, found: CocoInstances, columns: Mapping[str, int]) -> None:
        image_ids = np.asarray(found.image_ids, np.int64)
        order = np.argsort(image_ids, kind="stable")
        keys, starts = np.unique(image_ids[order], return_index=True)
        edges = pairwise([*starts.tolist(), len(order)])
        self._rows = {key: slice(*edge) for key, edge in zip(keys.tolist(), edges, strict=True)}
        known = [columns.get(found.categories[key], -1) for key in found.keys["category"]]
        categories = np.asarray(found.category_ids, np.int64)[order]
        self.labels = np.array(known, np.int64)[categories] if known else categories
        self._crowds = np.asarray(found.crowds, np.int8)[order] == 1
        corners = np.asarray(found.boxes, np.float64).reshape(-1, 4)[order]
        corners[:, 2:] += corners[:, :2]
        self._corners = corners
        self.none = np.isnan(corners[:, 0])
        self.flat = np.any(corners[:, 2:] <= corners[:, :2], axis=1)

    def rows(self, place: int) -> slice:
        return self._rows.get(place, slice(0, 0))

    def boxes(self, rows: slice) -> tuple[TrueBox, ...]:
        columns = (self.labels, self._corners, self._crowds, self.flat | self.none)
        return tuple(_boxes(*(column[rows].tolist() for column in columns)))


def _boxes(
    labels: Sequence[int],
    corners: Sequence[Sequence[float]],
    crowds: Sequence[bool],
    skipped: Sequence[bool],
) -> Iterator[TrueBox]:
    for label, (x1, y1, x2, y2), crowd, skip in zip(labels, corners, crowds, skipped, strict=True):
        if not skip:
            yield TrueBox(label, (x1, y1, x2, y2), crowd)
