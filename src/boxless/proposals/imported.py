"""Proposals that another program made, taken from a file image by image."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from boxless.errors import ConfigError, DataError
from boxless.files.paths import is_url, place
from boxless.metrics.boxes import clip
from boxless.proposals.box_files import read_boxes
from boxless.proposals.index import INDEX_NAME, file_stamp, stamped_sha256

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from boxless.proposals.box_table import BoxTable
    from boxless.proposals.proposer import Setting
    from boxless.proposals.stored_boxes import StoredBoxes
    from boxless.types import Float32Array, ImageRecord

    Boxes = BoxTable | StoredBoxes

RECIPE = 1  # raise it when a change of code changes boxes: old stores then no longer fit
ROUNDING = 1.0  # pixels a box may stick out and is cut without a word
Outside = Literal["refuse", "clip"]


@dataclass(frozen=True, slots=True)
class ImportedBoxes:
    """Boxes of a file or of a proposal store, best first; see `boxless.proposals.box_files`.

    Boxes keep their coordinates and scores; where a file has no scores all are 1 and the order is
    the file's. A file does not see pixels, so this is no `Proposer`: it is asked by image.

    Attributes:
        file: The file, or the folder of a finished store, of this machine or in a store of objects.
        order: ``xyxy``, ``yxyx``, or ``auto`` where the format settles it.
        outside: What to do with a box that leaves its image by more than a pixel: ``refuse`` it, or
            ``clip`` it. (Less than a pixel is rounding, and cut.)
        max_boxes: Most boxes an image, the best by score.

    Raises:
        ConfigError: No file is given, its type is unknown, or a value is out of range.
        DataError: The file is missing or malformed.
    """

    file: str = ""
    order: str = "auto"
    outside: str = "refuse"
    max_boxes: int = 500

    def __post_init__(self) -> None:
        if not self.file:
            raise ConfigError("importing boxes needs a file, found none", hint="give --file FILE")
        if self.max_boxes < 1:
            raise ConfigError(f"max_boxes must be at least 1, found {self.max_boxes}")
        if self.outside not in get_args(Outside):
            known = ", ".join(get_args(Outside))
            raise ConfigError(f"outside must be one of {known}, found {self.outside!r}")
        _table(self.file, self.order)

    @property
    def name(self) -> str:
        """``"file"``."""
        return "file"

    @property
    def settings(self) -> "dict[str, Setting]":
        """The values behind the boxes; the file by checksum, not by path."""
        return {
            "sha256": _checksum(self.file, self.order),
            "order": self.order,
            "outside": self.outside,
            "max_boxes": self.max_boxes,
            "recipe": RECIPE,
        }

    @property
    def in_process(self) -> bool:
        """True: the file is not read once a process."""
        return True

    def has(self, record: "ImageRecord") -> bool:
        """Whether the file has boxes for an image."""
        table = _table(self.file, self.order)
        return table.has(table.name_of(record))

    def at(
        self, record: "ImageRecord", width: int, height: int
    ) -> "tuple[Float32Array, Float32Array]":
        """Boxes of one image.

        Args:
            record: The image.
            width: Its width in pixels.
            height: Its height in pixels.

        Returns:
            (R, 4) boxes inside the image and (R,) scores >= 0, best first; R is at least 1.

        Raises:
            DataError: The file has no box for it, or an unusable one; file and place are named.
        """
        table = _table(self.file, self.order)
        name = table.name_of(record)
        if name is None or not table.has(name):
            raise DataError(
                f"{self.file}: no boxes for image {record.image_id!r} ({record.path})",
                hint="images are found by id or file name",
            )
        boxes, scores = table[name]
        self._check(table, name, width, height)
        best = np.argsort(-scores, kind="stable")[: self.max_boxes]
        return clip(boxes[best], width, height), scores[best]

    def check(
        self,
        records: "Sequence[ImageRecord]",
        size_of: "Callable[[ImageRecord], tuple[int, int] | None]",
        *,
        skip_bad: bool,
    ) -> None:
        """Find a fault in any image's boxes before the first shard is written.

        Args:
            records: The images.
            size_of: Record -> width and height, or None if the image cannot be read.
            skip_bad: Images that the file lacks are left out later, so they are no fault.

        Raises:
            DataError: Two images share an entry of the file, images are missing from it, or a box
                is unusable.
        """
        table = _table(self.file, self.order)
        taken: dict[str, ImageRecord] = {}
        absent = []
        for record in records:
            name = table.name_of(record)
            if name is None or not table.has(name):
                absent.append(record)
            elif name in taken:
                raise DataError(
                    f"{self.file}: the entry {name!r} fits two images: "
                    f"{taken[name].path} and {record.path}",
                    hint="name images by their ids in the file",
                )
            else:
                taken[name] = record
        if absent and (not skip_bad or not taken):
            shown = "".join(f"\n  {r.image_id!r}: {r.path}" for r in absent[:5])
            raise DataError(
                f"{self.file}: no boxes for {len(absent)} of {len(records)} images:{shown}",
                hint="images are found by id or file name (the file has names such as "
                f"{table.example()!r}); leave such images out with --skip-bad",
            )
        for name, record in taken.items():
            size = size_of(record)
            if size is not None:
                self._check(table, name, *size)

    def _check(self, table: "Boxes", name: str, width: int, height: int) -> None:
        boxes, scores = table[name]
        limit = np.array([width, height], np.float32) + ROUNDING
        with np.errstate(invalid="ignore"):
            leaves = (boxes[:, :2] < -ROUNDING).any(1) | (boxes[:, 2:] > limit).any(1)
            inside = clip(boxes, width, height)
            faults = {
                "a coordinate is not finite": ~np.isfinite(boxes).all(1),
                "the score is not finite": ~np.isfinite(scores),
                "the score is negative": scores < 0,
                "the box is inverted or empty": (boxes[:, 2:] <= boxes[:, :2]).any(1),
                f"the box leaves the image of {width} x {height} pixels": leaves
                & (self.outside == "refuse"),
                f"the box lies outside the image of {width} x {height} pixels": (
                    inside[:, 2:] <= inside[:, :2]
                ).any(1),
            }
        for fault, rows in faults.items():
            if rows.any():
                row = int(np.argmax(rows))
                raise DataError(
                    f"{table.place(name, row)}: {fault}; found x1 y1 x2 y2 = "
                    f"{boxes[row].tolist()} with score {scores[row]}",
                    hint="are the coordinates in that order (--order), in pixels of the original "
                    "image? --outside clip cuts boxes to the image",
                )


def _checksum(file: str, order: str) -> str:
    """What stands for the contents: a file's checksum, or a store's fingerprint."""
    if _is_store(file):
        return _store(file, order).fingerprint
    return stamped_sha256(file_stamp(Path(file)))


def _is_store(file: str) -> bool:
    return is_url(file) or Path(file).is_dir()


def _table(file: str, order: str) -> "Boxes":
    if _is_store(file):
        return _store(file, order)
    path = Path(file)
    if not path.is_file():
        return read_boxes(path, order)  # says what is wrong
    return _read(file, order, file_stamp(path))


def _store(folder: str, order: str) -> "StoredBoxes":
    if order != "auto":
        raise ConfigError(
            f"{folder} is a folder with proposals, which need no order; found {order!r}",
            hint="leave the order out",
        )
    if is_url(folder):
        return _open(folder, None)
    index = Path(folder) / INDEX_NAME
    return _open(folder, file_stamp(index) if index.exists() else None)


@lru_cache(maxsize=1)
def _read(file: str, order: str, _stamp: tuple[str, int, int]) -> "BoxTable":
    return read_boxes(Path(file), order)


@lru_cache(maxsize=1)
def _open(folder: str, _stamp: tuple[str, int, int] | None) -> "StoredBoxes":
    from boxless.proposals.stored_boxes import StoredBoxes  # noqa: PLC0415  (safetensors)

    return StoredBoxes(place(folder))
