"""The lists of NUS-WIDE: the official folders, and the flat files found in the wild.

Chua et al., "NUS-WIDE: A Real-World Web Image Database from National University of Singapore",
CIVR 2009. Officially ``ImageList/TrainImagelist.txt`` names an image a line (with a backslash),
and ``Groundtruth/TrainTestLabels/Labels_CONCEPT_Train.txt`` holds 0 or 1 on the same line; likewise
for Test. A flat list has an image a line, followed by 81 zeros and ones.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from boxless.data.text import numbered_lines
from boxless.errors import DataError
from boxless.types import UNKNOWN, Int8Array

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
