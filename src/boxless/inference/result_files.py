"""Predictions as files: JSON, JSON lines, CSV, Parquet and COCO, written image by image.

CSV and Parquet have one row per label and box (`COLUMNS`); an image without any label shown has one
row with its path alone, so that none is missing.
"""

import csv
import io
import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from typing import IO, Any, BinaryIO

from boxless.errors import MissingExtraError
from boxless.inference.prediction import Prediction

COLUMNS = (
    "path", "width", "height", "label", "probability", "threshold", "present",
    "x1", "y1", "x2", "y2", "score",
)  # fmt: skip
_COCO_INFO = {"description": "predictions of boxless"}
_ROW_GROUP = 10_000  # rows of a Parquet file that are held in memory


class ResultWriter:
    """Takes predictions one after the other.

    Args:
        file: Where to write; it stays open.
        classes: The student's classes.
    """

    def __init__(self, file: BinaryIO, classes: Sequence[str]) -> None:
        self._file, self._classes = file, classes

    def write(self, prediction: Prediction) -> None:
        """Write one image."""
        raise NotImplementedError

    def failed(self, path: str, reason: str) -> None:
        """Note an image that could not be read, where the format has a place for it."""

    def close(self) -> None:
        """Write what is left."""


class JsonLines(ResultWriter):
    """One JSON object per line: `Prediction.to_dict`, or ``{"path", "error"}``."""

    def write(self, prediction: Prediction) -> None:
        """Write one object."""
        self._put(prediction.to_dict())

    def failed(self, path: str, reason: str) -> None:
        """Write one object with the reason."""
        self._put({"path": path, "error": reason})

    def _put(self, values: dict[str, Any]) -> None:
        self._file.write(_encoded(values) + b"\n")
        self._file.flush()


class JsonList(JsonLines):
    """The same objects as one JSON list."""

    _empty = True

    def close(self) -> None:
        """Close the list."""
        self._file.write(b"[]\n" if self._empty else b"\n]\n")
        self._file.flush()

    def _put(self, values: dict[str, Any]) -> None:
        self._file.write((b"[\n" if self._empty else b",\n") + _encoded(values))
        self._empty = False


class Csv(ResultWriter):
    """A table with a head; empty fields where there is no box."""

    def __init__(self, file: BinaryIO, classes: Sequence[str]) -> None:
        super().__init__(file, classes)
        self._text = io.TextIOWrapper(file, "utf-8", "replace", newline="", write_through=True)
        self._rows = csv.DictWriter(self._text, COLUMNS, lineterminator="\n")
        self._rows.writeheader()

    def write(self, prediction: Prediction) -> None:
        """Write the rows of one image."""
        self._rows.writerows(table_rows(prediction))

    def close(self) -> None:
        """Let go of the file."""
        self._text.detach()


class Parquet(ResultWriter):
    """The same table with typed columns; needs the extra ``parquet``."""

    def __init__(self, file: BinaryIO, classes: Sequence[str]) -> None:
        super().__init__(file, classes)
        try:
            import pyarrow  # noqa: PLC0415  (heavy, and not part of the base install)
            from pyarrow import parquet  # noqa: PLC0415
        except ImportError as error:
            raise MissingExtraError("pyarrow", "parquet") from error
        words, flag, number = pyarrow.string(), pyarrow.bool_(), pyarrow.float32()
        kinds = {"path": words, "label": words, "present": flag}
        kinds |= dict.fromkeys(("width", "height"), pyarrow.int32())
        fields = [(name, kinds.get(name, number)) for name in COLUMNS]
        self._schema = pyarrow.schema(fields)
        self._table = pyarrow.Table
        self._writer = parquet.ParquetWriter(file, self._schema)
        self._rows: list[dict[str, Any]] = []

    def write(self, prediction: Prediction) -> None:
        """Take the rows of one image."""
        self._rows += table_rows(prediction)
        if len(self._rows) >= _ROW_GROUP:
            self._flush()

    def close(self) -> None:
        """Write the rows that are left, and the foot."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        self._writer.write_table(self._table.from_pylist(self._rows, schema=self._schema))
        self._rows = []


class Coco(ResultWriter):
    """A COCO document: boxes as ``annotations`` with ``score``, ``labels`` beside each image.

    Images are written at once; annotations wait in a temporary file, since they come last.
    """

    def __init__(self, file: BinaryIO, classes: Sequence[str]) -> None:
        super().__init__(file, classes)
        self._ids = {name: k for k, name in enumerate(classes, start=1)}
        self._images = self._boxes = 0
        self._waiting = tempfile.TemporaryFile()  # noqa: SIM115  (closed in `close`)
        categories = [{"id": k, "name": name} for name, k in self._ids.items()]
        head = _encoded({"info": _COCO_INFO, "categories": categories})
        file.write(head[:-1] + b', "images": [')

    def write(self, prediction: Prediction) -> None:
        """Write one image and keep its boxes."""
        self._images += 1
        image = {
            "id": self._images,
            "file_name": prediction.path or "",
            "width": prediction.width,
            "height": prediction.height,
            "labels": [
                {"category_id": self._ids[x.name], "score": x.probability}
                for x in prediction.labels
            ],
        }
        self._put(self._file, image, first=self._images == 1)
        for box in prediction.boxes:
            self._boxes += 1
            width, height = box.x2 - box.x1, box.y2 - box.y1
            annotation = {
                "id": self._boxes,
                "image_id": self._images,
                "category_id": self._ids[box.name],
                "bbox": [box.x1, box.y1, width, height],
                "area": width * height,
                "iscrowd": 0,
                "score": box.score,
            }
            self._put(self._waiting, annotation, first=self._boxes == 1)

    def close(self) -> None:
        """Write the annotations."""
        self._file.write(b'\n], "annotations": [')
        self._waiting.seek(0)
        shutil.copyfileobj(self._waiting, self._file)
        self._waiting.close()
        self._file.write(b"\n]}\n")
        self._file.flush()

    @staticmethod
    def _put(file: BinaryIO | Any, values: dict[str, Any], *, first: bool) -> None:
        file.write((b"\n" if first else b",\n") + _encoded(values))


WRITERS: dict[str, type[ResultWriter]] = {
    "json": JsonList,
    "jsonl": JsonLines,
    "csv": Csv,
    "parquet": Parquet,
    "coco": Coco,
}


def is_result(file: IO[bytes]) -> bool:
    """Whether a file, opened at its start, holds predictions written here, or nothing."""
    start = file.read(8192)
    if start[:4] == b"PAR1":
        from pyarrow import ArrowInvalid, parquet  # noqa: PLC0415

        try:
            return tuple(parquet.read_schema(file).names) == COLUMNS
        except ArrowInvalid:
            return False
    row = re.compile(rb'\{"path": ("|null).*, "(width|error)": ', re.DOTALL)
    beginnings = (",".join(COLUMNS).encode() + b"\n", _encoded({"info": _COCO_INFO})[:-1])
    listed = start.removeprefix(b"[\n")
    return start in (b"", b"[]\n") or start.startswith(beginnings) or bool(row.match(listed))


def _encoded(values: dict[str, Any]) -> bytes:
    return json.dumps(values, ensure_ascii=False).encode("utf-8", "replace")


def table_rows(prediction: Prediction) -> Iterator[dict[str, Any]]:
    """Rows of one image: one per label, or one per box where a label has several."""
    size = {"width": prediction.width, "height": prediction.height}
    image = {"path": prediction.path, **size}
    if not prediction.labels:
        yield image
    for label in prediction.labels:
        limit = {"threshold": label.threshold, "present": label.present}
        row = image | {"label": label.name, "probability": label.probability, **limit}
        boxes = [box for box in prediction.boxes if box.name == label.name]
        if not boxes:
            yield row
        for box in boxes:
            places = {"x1": box.x1, "y1": box.y1, "x2": box.x2, "y2": box.y2, "score": box.score}
            yield row | places
