"""Proposals that another program made, taken from a file image by image."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Literal, get_args

import numpy as np

from boxless.errors import ConfigError, DataError
from boxless.files.paths import is_url, place
from boxless.metrics.boxes import clip
from boxless.proposals.box_files import read_boxes
from boxless.proposals.checks import first_fault
from boxless.proposals.index import INDEX_NAME, Setting, file_stamp, stamped_sha256
from boxless.proposals.store import ProposalStore
from boxless.types import Float32Array, ImageRecord

RECIPE = 2  # raise it when a change of code changes boxes: old stores then no longer fit
ROUNDING = 1.0  # pixels a box may stick out and is cut without a word
Outside = Literal["refuse", "clip"]


@dataclass(frozen=True, slots=True)
class _Source:
    """An open file or store: its names for images, their boxes and scores, and its checksum."""

    names: Collection[str]
    at: Callable[[str], tuple[Float32Array, Float32Array]]
    fingerprint: str

    def name_of(self, record: ImageRecord) -> str | None:
        """Its name for an image: the first known one of `possible_names`, or None."""
        return next((name for name in possible_names(record) if name in self.names), None)


def possible_names(record: ImageRecord) -> Iterator[str]:
    """What a file may call an image.

    The id; the file name; without its ending; with the folder in front; and as a number without
    leading zeros (COCO).
    """
    file_name = record.path.rpartition("/")[2]
    stem = file_name.rpartition(".")[0] or file_name
    yield from (record.image_id, file_name, stem, "/".join(record.path.split("/")[-2:]))
    if stem.isascii() and stem.isdigit():
        yield str(int(stem))


@dataclass(frozen=True, slots=True)
class ImportedBoxes:
    """Boxes of a file or of a proposal store, best first; see `boxless.proposals.box_files`.

    Boxes keep their coordinates and scores; where a file has no scores all are 1 and the order is
    the file's. A file does not see pixels, so this is no `Proposer`: it is asked by image.

    Attributes:
        file: The file, or the folder of a finished store, of this machine or in a store of objects.
        outside: What to do with a box that leaves its image by more than a pixel: ``refuse`` it, or
            ``clip`` it. (Less than a pixel is rounding, and cut.)
        max_boxes: Most boxes per image, the best by score.

    Raises:
        ConfigError: No file is given, its type is unknown, or a value is out of range.
        DataError: The file is missing or malformed.
    """

    name: ClassVar = "file"
    in_process: ClassVar = True  # the file is not read once per process
    file: str = ""
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
        self._source()

    @property
    def settings(self) -> dict[str, Setting]:
        """The values behind the boxes; the file by checksum, not by path."""
        return {
            "sha256": self._source().fingerprint,
            "outside": self.outside,
            "max_boxes": self.max_boxes,
            "recipe": RECIPE,
        }

    def has(self, record: ImageRecord) -> bool:
        """Whether the file has boxes for an image."""
        return self._source().name_of(record) is not None

    def at(self, record: ImageRecord, width: int, height: int) -> tuple[Float32Array, Float32Array]:
        """Boxes (R, 4) of one image, inside it and best first, and scores (R,) >= 0.

        Raises:
            DataError: The file has no box for it, or an unusable one; file and place are named.
        """
        name = self._source().name_of(record)
        if name is None:
            raise DataError(
                f"{self.file}: no boxes for image {record.image_id!r} ({record.path})",
                hint="images are found by id or file name",
            )
        boxes, scores = self._checked(name, width, height)
        best = np.argsort(-scores, kind="stable")[: self.max_boxes]
        return clip(boxes[best], width, height), scores[best]

    def check(
        self,
        records: Sequence[ImageRecord],
        size_of: Callable[[ImageRecord], tuple[int, int] | None],
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
        source = self._source()
        taken: dict[str, ImageRecord] = {}
        absent = []
        for record in records:
            name = source.name_of(record)
            if name is None:
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
                f"{next(iter(source.names))!r}); leave such images out with --skip-bad",
            )
        for name, record in taken.items():
            size = size_of(record)
            if size is not None:
                self._checked(name, *size)

    def _checked(self, name: str, width: int, height: int) -> tuple[Float32Array, Float32Array]:
        boxes, scores = self._source().at(name)
        slack = ROUNDING if self.outside == "refuse" else np.inf
        found = first_fault(boxes, scores, width, height, slack=slack)
        if found is not None:
            row, fault = found
            raise DataError(
                f"{self.file}, image {name!r}, box {row + 1}: {fault}; found x1 y1 x2 y2 = "
                f"{boxes[row].tolist()} with score {scores[row]}",
                hint="boxes are in pixels of the original image, ends exclusive; --outside clip "
                "cuts them to the image",
            )
        return boxes, scores

    def _source(self) -> _Source:
        path = Path(self.file)
        if is_url(self.file):
            return _open(self.file, None)
        inner = path / INDEX_NAME if path.is_dir() else path
        return _open(self.file, file_stamp(inner) if inner.exists() else None)


@lru_cache(maxsize=1)
def _open(file: str, stamp: tuple[str, int, int] | None) -> _Source:
    """The file or store; read again only when its stamp has changed."""
    if is_url(file) or Path(file).is_dir():
        store = ProposalStore.open(place(file))
        return _Source(
            store, lambda name: (store[name].boxes, store[name].scores), store.fingerprint
        )
    table = read_boxes(Path(file))
    assert stamp is not None  # the file was just read
    return _Source(table.rows, table.__getitem__, stamped_sha256(stamp))
