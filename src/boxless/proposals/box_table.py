"""Boxes read from a file, by the name that the file gives to an image."""

from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from boxless.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence

    from boxless.types import Float32Array, ImageRecord

Order = Literal["xyxy", "yxyx"]
ORDERS: tuple[str, ...] = get_args(Order)


@dataclass(slots=True)
class BoxTable:
    """Boxes and scores of many images, a flat list of numbers an image.

    Attributes:
        where: The file, named in errors.
        rows: Name -> x1, y1, x2, y2, score of all its boxes, one after the other.
        lines: Name -> number of the line of each box, where the file has lines.
    """

    where: str
    rows: "dict[str, array[float]]" = field(default_factory=dict)
    lines: "dict[str, array[int]]" = field(default_factory=dict)

    def add(self, name: str, numbers: "Sequence[float]", line: int = 0) -> None:
        """Append one box.

        Args:
            name: The file's name for the image.
            numbers: x1, y1, x2, y2 and score.
            line: 1-based line of the file; 0 if it has none.
        """
        self.rows.setdefault(name, array("f")).extend(numbers)
        if line:
            self.lines.setdefault(name, array("q")).append(line)

    def add_all(self, name: str, boxes: "np.ndarray", scores: "np.ndarray | None") -> None:
        """Set all boxes of an image.

        Args:
            name: The file's name for the image.
            boxes: (R, 4) x1, y1, x2, y2.
            scores: (R,), or None for 1 each.

        Raises:
            DataError: The shapes do not fit, or the name has come before.
        """
        if boxes.size == 0:
            boxes = boxes.reshape(0, 4)
        count = len(boxes) if boxes.ndim == 2 else 0
        given = np.ones(count) if scores is None else scores.reshape(-1)
        if boxes.ndim != 2 or boxes.shape[1] != 4 or len(given) != count:
            raise DataError(
                f"{self.where}, image {name!r}: expected (R, 4) boxes and R scores, "
                f"found {boxes.shape} and {given.shape}"
            )
        if name in self.rows:
            raise DataError(f"{self.where}: the image {name!r} occurs twice")
        numbers = np.concatenate([boxes, given[:, None]], axis=1).astype(np.float32)
        self.rows[name] = array("f", numbers.tobytes())

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, name: str) -> "tuple[Float32Array, Float32Array]":
        """(R, 4) boxes and (R,) scores of an image, in the file's order."""
        numbers = np.array(self.rows[name], np.float32).reshape(-1, 5)
        return numbers[:, :4], numbers[:, 4]

    def place(self, name: str, row: int) -> str:
        """Where a box stands: ``FILE:LINE``, or the file, the image and the number of the box."""
        if name in self.lines:
            return f"{self.where}:{self.lines[name][row]}"
        return f"{self.where}, image {name!r}, box {row + 1}"

    def name_of(self, record: "ImageRecord") -> str | None:
        """The file's name for an image, or None if the file does not have it.

        Tried in this order: the id; the file name; without its ending; with the folder in front;
        and as a number without leading zeros (COCO).

        Args:
            record: The image.
        """
        return find_name(record, self.rows)

    def has(self, name: str | None) -> bool:
        """Whether the file has at least one box of an image."""
        return name is not None and len(self.rows.get(name, ())) > 0

    def example(self) -> str:
        """Some image's name."""
        return next(iter(self.rows))


def find_name(record: "ImageRecord", known: "Container[str]") -> str | None:
    """The first of an image's possible names that is known; see `BoxTable.name_of`.

    Args:
        record: The image.
        known: Names that a file or store gives to images.
    """
    return next((name for name in _names(record) if name in known), None)


def _names(record: "ImageRecord") -> "Iterator[str]":
    file_name = record.path.rpartition("/")[2]
    stem = file_name.rpartition(".")[0] or file_name
    yield from (record.image_id, file_name, stem, "/".join(record.path.split("/")[-2:]))
    if stem.isascii() and stem.isdigit():
        yield str(int(stem))
