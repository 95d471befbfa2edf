"""Read boxes from a file that another program wrote; nothing in it is ever executed.

    .json   COCO's detection results: a list of {image_id or file_name, bbox: [x, y, w, h], score},
            or {images: [{id, file_name}], annotations: that list}; read entry by entry
    .npz    NumPy: per image an array (R, 4), or (R, 5) with scores, under the image's name

Boxes are continuous pixel coordinates of the original image, ends exclusive: the whole image is
(0, 0, width, height).
"""

import json
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ijson
import numpy as np

from boxless.errors import ConfigError, DataError
from boxless.files.watched_file import watched
from boxless.types import Float32Array

_PIECE = 1 << 16  # bytes read at a time


@dataclass(slots=True)
class BoxTable:
    """Boxes and scores of many images, by the name that the file gives to an image.

    Attributes:
        where: The file, named in errors.
        rows: Name -> x1, y1, x2, y2, score of all its boxes, one after the other.
    """

    where: str
    rows: "dict[str, array[float]]" = field(default_factory=dict)

    def add(self, name: str, numbers: Sequence[float]) -> None:
        """Append one box: x1, y1, x2, y2 and score."""
        self.rows.setdefault(name, array("f")).extend(numbers)

    def add_all(self, name: str, boxes: np.ndarray) -> None:
        """Set all boxes of an image, (R, 4) or (R, 5) with scores; one without boxes is left out.

        Raises:
            DataError: The array has another shape, or holds no numbers.
        """
        if not np.issubdtype(boxes.dtype, np.number) or boxes.dtype.kind == "c":
            raise DataError(f"{self.where}, image {name!r}: expected numbers, found {boxes.dtype}")
        if boxes.size and (boxes.ndim != 2 or boxes.shape[1] not in (4, 5)):
            raise DataError(
                f"{self.where}, image {name!r}: expected (R, 4) boxes or (R, 5) with scores, "
                f"found {boxes.shape}"
            )
        if boxes.size:
            numbers = np.column_stack([boxes, np.ones(len(boxes))])[:, :5]
            self.rows[name] = array("f", numbers.astype(np.float32).tobytes())

    def __getitem__(self, name: str) -> tuple[Float32Array, Float32Array]:
        """(R, 4) boxes and (R,) scores of an image, in the file's order."""
        numbers = np.array(self.rows[name], np.float32).reshape(-1, 5)
        return numbers[:, :4], numbers[:, 4]


def read_boxes(path: Path) -> BoxTable:
    """Boxes of a file, at least one, by the names that it gives to images.

    Raises:
        ConfigError: The type of the file is unknown.
        DataError: The file is missing or malformed; the message says where.
    """
    readers = {".json": _read_json, ".npz": _read_npz}
    kind = path.suffix.lower()
    if kind not in readers:
        pickled = kind in {".pkl", ".pickle", ".pth", ".pt", ".npy"}
        raise ConfigError(
            f"expected a file of boxes ending in {' or '.join(readers)}, found {str(path)!r}",
            hint="pickles are not read, as they can run code: save the boxes with numpy.savez"
            if pickled
            else "convert it, for instance to .npz: numpy.savez(FILE, **{image: boxes})",
        )
    if not path.is_file():
        raise DataError(f"expected a file of boxes at {path}, found none")
    table = BoxTable(str(path))
    readers[kind](path, table)
    if not table.rows:
        raise DataError(f"expected boxes in {path}, found none")
    return table


def _read_json(path: Path, table: BoxTable) -> None:
    try:
        with path.open("rb") as stream:
            event, _ = next(ijson.basic_parse(stream, use_float=True, buf_size=64))
        if event == "start_array":
            _take_detections(path, "item", table)
        elif event == "start_map":
            _take_detections(path, "annotations.item", table)
            _use_file_names(path, table)
        else:
            raise DataError(
                f"{path}: expected a list of detections, or an object with images and annotations, "
                f"found a {event}"
            )
    except (ijson.JSONError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path} is no JSON file: {reason}") from error


def _entries(path: Path, prefix: str) -> Iterator[tuple[int, Any]]:
    with watched(path) as stream:
        yield from enumerate(ijson.items(stream, prefix, use_float=True, buf_size=_PIECE), 1)


def _take_detections(path: Path, prefix: str, table: BoxTable) -> None:
    for count, entry in _entries(path, prefix):
        try:
            name, score = entry.get("file_name", entry.get("image_id")), entry["score"]
            x, y, w, h = entry["bbox"]
            numbers = (x, y, x + w, y + h, score)
            sound = all(type(v) in (int, float) for v in numbers) and type(name) in (int, str)
        except (AttributeError, KeyError, TypeError, ValueError):
            sound = False
        if not sound:
            raise DataError(
                f"{path}, detection {count}: expected image_id or file_name, bbox [x, y, width, "
                f"height] and score, found {json.dumps(entry)[:200]}",
                hint="annotations without scores are true boxes, not proposals",
            )
        table.add(str(name), numbers)


def _use_file_names(path: Path, table: BoxTable) -> None:
    for number, image in _entries(path, "images.item"):
        if not isinstance(image, dict) or not {"id", "file_name"} <= image.keys():
            raise DataError(
                f"{path}, entry {number} of images: expected an id and a file_name, "
                f"found {json.dumps(image)[:200]}"
            )
        rows = table.rows.pop(str(image["id"]), None)
        if rows is not None:
            table.rows[str(image["file_name"])] = rows


def _read_npz(path: Path, table: BoxTable) -> None:
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except Exception as error:  # archive, packing and header each fail in ways of their own
        raise DataError(
            f"{path} is no NumPy archive of plain numbers: {error}",
            hint="save numbers and texts only (numpy.savez); pickled objects are not read, as they "
            "can run code",
        ) from error
    for name, boxes in arrays.items():
        table.add_all(name, boxes)
