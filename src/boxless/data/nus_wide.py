"""Read ``nus-wide:DIR``: NUS-WIDE with its 81 concepts, officially laid out or as flat lists.

By default as in Liu et al. 2018: the 209,347 images that carry a concept, 150,000 of them for
training. Which ones the authors drew was never published, so they are drawn here by a hash of the
image's name; the draw is the same everywhere and hardly moves when images are missing.

Chua et al., "NUS-WIDE: A Real-World Web Image Database from National University of Singapore",
CIVR 2009. Officially ``ImageList/TrainImagelist.txt`` names one image per line (with a backslash),
and ``Groundtruth/TrainTestLabels/Labels_CONCEPT_Train.txt`` holds 0 or 1 on the same line; likewise
for Test. A flat list has one image per line, followed by 81 zeros and ones.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np

from boxless.data.image_files import keep_existing
from boxless.data.image_places import ImagePlaces
from boxless.data.manifest import Manifest
from boxless.data.options import Options, split_options
from boxless.data.text import numbered_lines, read_class_names
from boxless.errors import DataError
from boxless.types import PRESENT, UNKNOWN, ImageRecord, Int8Array

_FAULTS = {("Labels_lake_Train.txt", 78372): "-1130179"}
"""Lines of the official files that are known to be wrong; such a label counts as unknown."""

_DIGITS = {b"0": 0, b"1": 1}


@dataclass(frozen=True, slots=True)
class ListedImage:
    """One line of a list.

    Attributes:
        name: The image's path as listed, with slashes.
        labels: K labels; images with the same labels share one tuple.
        split: The list's own split, ``"train"`` or ``"test"``.
        source: ``file:line``.
    """

    name: str
    labels: tuple[int, ...]
    split: str
    source: str


def read_official(root: Path, concepts: tuple[str, ...], split: str) -> Iterator[ListedImage]:
    """Read one split of the official folders.

    Args:
        root: Folder with ``ImageList`` and ``Groundtruth`` (or ``TrainTestLabels`` itself).
        concepts: K concept names.
        split: ``"train"`` or ``"test"``.

    Yields:
        Its images in the order of the image list.

    Raises:
        DataError: A file is missing, or a label file does not fit the image list.
    """
    title = split.capitalize()
    path = root / "ImageList" / f"{title}Imagelist.txt"
    lines = list(numbered_lines(path))
    if not lines:
        raise DataError(f"{path}: expected an image a line, found none")
    folder = root / "Groundtruth" / "TrainTestLabels"
    folder = folder if folder.is_dir() else root / "TrainTestLabels"
    table = np.empty((len(lines), len(concepts)), np.int8)
    for column, concept in enumerate(concepts):
        table[:, column] = _read_labels(folder / f"Labels_{concept}_{title}.txt", len(lines))
    shared: dict[bytes, tuple[int, ...]] = {}
    for (number, name), row in zip(lines, table, strict=True):
        key = row.tobytes()
        if key not in shared:
            shared[key] = tuple(row.tolist())
        yield ListedImage(name.replace("\\", "/"), shared[key], split, f"{path}:{number}")


def read_flat(path: Path, concepts: tuple[str, ...], split: str) -> Iterator[ListedImage]:
    """Read a list of paths, each followed by zeros and ones.

    Yields:
        Its images, in order.

    Raises:
        DataError: A line has another number of labels, or something else than 0 and 1.
    """
    shared: dict[str, tuple[int, ...]] = {}
    count = len(concepts)
    for number, text in numbered_lines(path):
        name, *labels = text.rsplit(maxsplit=count)
        if len(labels) != count or not {"0", "1"}.issuperset(labels):
            raise DataError(
                f"{path}:{number}: expected a path and {count} zeros and ones, "
                f"found {len(text.split())} words: {text[:60]!r}"
            )
        key = "".join(labels)
        if key not in shared:
            shared[key] = tuple(map(int, labels))
        yield ListedImage(name.replace("\\", "/"), shared[key], split, f"{path}:{number}")


def _read_labels(path: Path, count: int) -> Int8Array:
    """(count,) labels of one concept."""
    try:
        words = path.read_bytes().split()
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror})",
            hint="unpack Groundtruth.zip of NUS-WIDE beside ImageList",
        ) from error
    if len(words) != count:
        raise DataError(
            f"{path}: expected {count:,} labels, one for each image of the list, "
            f"found {len(words):,}"
        )
    joined = b"".join(words)
    if len(joined) == count and not joined.strip(b"01"):
        return np.frombuffer(joined, np.int8) - ord("0")
    values = np.empty(count, np.int8)
    for row, word in enumerate(words):
        text = word.decode("utf-8", "replace")
        if word in _DIGITS:
            values[row] = _DIGITS[word]
        elif _FAULTS.get((path.name, row + 1)) == text:
            values[row] = UNKNOWN
        else:
            raise DataError(f"{path}:{row + 1}: expected 0 or 1, found {text!r}")
    return values


CONCEPTS: tuple[str, ...] = (
    "airport", "animal", "beach", "bear", "birds", "boats", "book", "bridge", "buildings", "cars",
    "castle", "cat", "cityscape", "clouds", "computer", "coral", "cow", "dancing", "dog",
    "earthquake", "elk", "fire", "fish", "flags", "flowers", "food", "fox", "frost", "garden",
    "glacier", "grass", "harbor", "horses", "house", "lake", "leaf", "map", "military", "moon",
    "mountain", "nighttime", "ocean", "person", "plane", "plants", "police", "protest", "railroad",
    "rainbow", "reflection", "road", "rocks", "running", "sand", "sign", "sky", "snow", "soccer",
    "sports", "statue", "street", "sun", "sunset", "surf", "swimmers", "tattoo", "temple", "tiger",
    "tower", "town", "toy", "train", "tree", "valley", "vehicle", "water", "waterfall", "wedding",
    "whales", "window", "zebra",
)  # fmt: skip
"""The 81 concepts, used where there is no ``Concepts81.txt``."""

OPTIONS = ("split", "seed", "unlabelled", "missing", "images", "train", "test", "outside")
TRAIN_IMAGES, ALL_IMAGES = 150_000, 209_347
"""Liu et al.'s split; fewer images are split in the same ratio."""

_IMAGE_FOLDERS = ("Flickr", "flickr", "images", "Images")


def read(location: str) -> Manifest:
    """Read NUS-WIDE.

    Args:
        location: ``DIR[,OPTION=VALUE…]`` with ``ImageList`` and ``Groundtruth`` in the folder, or
            with flat lists ``train.txt`` and ``test.txt``; or ``FILE[,…]``, one flat list of all
            images. Images are looked for in ``Flickr`` or ``images`` there, by the listed path and
            by the file's name alone. Options: ``split=seeded|lists`` (the lists' own split, the
            default with two flat lists), ``seed=0``, ``unlabelled=drop|keep`` for images without
            a concept, ``missing=error|drop`` for images without a file, ``images=DIR``,
            ``outside=refuse|allow`` for listed paths that lead out of it, ``train=NAME`` and
            ``test=NAME`` for flat lists of other names.

    Returns:
        Manifest with splits ``train`` and ``test``, without boxes; ids are the listed paths.

    Raises:
        DataError: Something is missing or malformed; the message says where.
    """
    root, options = split_options("nus-wide", location, OPTIONS)
    drop_missing = options.one_of("missing", "error", "drop") == "drop"
    keep_unlabelled = options.one_of("unlabelled", "drop", "keep") == "keep"
    seed = options.number("seed", 0)
    concepts = _concepts(root if root.is_dir() else root.parent)
    entries, seeded = _entries(root, concepts, options)
    records, notes = _labelled(entries, keep_unlabelled=keep_unlabelled)
    folder = root if root.is_dir() else root.parent
    places = ImagePlaces(
        [folder, *(folder / name for name in _IMAGE_FOLDERS if (folder / name).is_dir()), folder],
        options.changed(root=options.text("images")),
        spec=f"nus-wide:{location},outside=allow",
    )
    records = [replace(r, path=places.locate(r.image_id, r.source)) for r in records]
    existing, missing_note = keep_existing(
        records, drop=drop_missing, spec=f"nus-wide:{location},missing=drop"
    )
    if seeded:
        existing, split_note = _draw(existing, seed)
        missing_note = [*missing_note, split_note]
    return Manifest("nus-wide", concepts, tuple(existing), (*notes, *missing_note))


def _concepts(folder: Path) -> tuple[str, ...]:
    for path in (folder / "Concepts81.txt", folder / "ConceptsList" / "Concepts81.txt"):
        if path.is_file():
            return read_class_names(path)
    return CONCEPTS


def _entries(
    root: Path, concepts: tuple[str, ...], options: Options
) -> tuple[Iterator[ListedImage], bool]:
    """All listed images, and whether they are still to be split."""
    if root.is_file():
        options.one_of("split", "seeded")
        return read_flat(root, concepts, "train"), True
    if not root.is_dir():
        raise DataError(f"expected NUS-WIDE at {root}, found nothing")
    if (root / "ImageList").is_dir():
        lists = (read_official(root, concepts, split) for split in ("train", "test"))
        return chain.from_iterable(lists), options.one_of("split", "seeded", "lists") == "seeded"
    paths = {split: root / (options.text(split) or f"{split}.txt") for split in ("train", "test")}
    for path in paths.values():
        if not path.is_file():
            texts = sorted(found.name for found in root.glob("*.txt"))
            raise DataError(
                f"expected the folder ImageList or the flat list {path.name} in {root}, "
                f"found {', '.join(texts[:8]) or 'no list'}",
                hint=f"name flat lists as in nus-wide:{root},train=a.txt,test=b.txt",
            )
    flat = (read_flat(path, concepts, split) for split, path in paths.items())
    return chain.from_iterable(flat), options.one_of("split", "lists", "seeded") == "seeded"


def _labelled(
    entries: Iterable[ListedImage], *, keep_unlabelled: bool
) -> tuple[list[ImageRecord], list[str]]:
    """Records without a path yet, and what to tell about labels."""
    records: list[ImageRecord] = []
    total, unknown = 0, 0
    for entry in entries:
        total += 1
        unknown += entry.labels.count(UNKNOWN)
        if keep_unlabelled or PRESENT in entry.labels:
            records.append(
                ImageRecord(entry.name, "", entry.split, entry.labels, None, entry.source)
            )
    notes = []
    if not records:
        raise DataError(f"none of {total:,} listed images carries a concept")
    if len(records) < total:
        notes.append(
            f"{total - len(records):,} of {total:,} images carry no concept and are left out "
            "(unlabelled=keep keeps them)"
        )
    if unknown:
        notes.append(f"{unknown} labels are known to be wrong in the official files: unknown here")
    return records, notes


def _draw(records: Sequence[ImageRecord], seed: int) -> tuple[list[ImageRecord], str]:
    """Split the records 150,000 : 59,347 by a hash of their ids, keeping their order."""
    count = round(len(records) * TRAIN_IMAGES / ALL_IMAGES)
    order = sorted(range(len(records)), key=lambda row: _rank(records[row].image_id, seed))
    train = frozenset(order[:count])
    split = [
        replace(record, split="train" if row in train else "test")
        for row, record in enumerate(records)
    ]
    rest = len(records) - count
    return split, (
        f"{count:,} train and {rest:,} test images drawn with seed {seed}; "
        "the authors' own draw was never published"
    )


def _rank(image_id: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed}:{image_id}".encode(), digest_size=8).digest()
