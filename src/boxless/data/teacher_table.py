"""What another model says of images: a table of probabilities, image x class, in a file.

``.npz`` and ``.safetensors`` hold ``probabilities`` (M, K), ``images`` (M names) and ``classes``
(K names); in ``.safetensors`` the names are JSON lists in the metadata. ``.csv`` and ``.parquet``
have a column ``image`` and one column per class.
"""

import csv
import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from boxless.errors import DataError, MissingExtraError
from boxless.types import Float32Array, ImageRecord

IMAGE: Final = "image"
NAMED: Final = 5
"""Names at most in a message."""


@dataclass(frozen=True, slots=True)
class TeacherTable:
    """Probabilities by image and class.

    Attributes:
        source: The file, for messages.
        images: M image ids or paths.
        classes: K class names.
        probabilities: (M, K) float32 in [0, 1].
    """

    source: str
    images: tuple[str, ...]
    classes: tuple[str, ...]
    probabilities: Float32Array

    def of(self, records: Sequence[ImageRecord], classes: Sequence[str]) -> Float32Array:
        """The rows of some images, found by id, path or file name, and the columns of classes.

        Returns:
            (M, K).

        Raises:
            DataError: An image or a class is missing; the first ones are named.
        """
        place = {name: column for column, name in enumerate(self.classes)}
        self._require("classes", [name for name in classes if name not in place], len(classes))
        rows = {name: row for row, name in enumerate(self.images)}
        found = [
            next((rows[key] for key in _keys(record) if key in rows), -1) for record in records
        ]
        missing = [r.image_id for r, row in zip(records, found, strict=True) if row < 0]
        self._require("images", missing, len(records))
        self._refuse_shared(records, found)
        columns = [place[name] for name in classes]
        return np.ascontiguousarray(self.probabilities[found][:, columns])

    def _refuse_shared(self, records: Sequence[ImageRecord], found: list[int]) -> None:
        first = dict[int, ImageRecord]()
        for record, row in zip(records, found, strict=True):
            other = first.setdefault(row, record)
            if other is not record:
                raise DataError(
                    f"{self.source}: {self.images[row]!r} is the file name of {other.image_id} and"
                    f" of {record.image_id}",
                    hint="name images by id or path where file names are not enough",
                )

    def _require(self, what: str, missing: list[str], total: int) -> None:
        if missing:
            some = ", ".join(missing[:NAMED]) + (", …" if len(missing) > NAMED else "")
            raise DataError(
                f"{self.source}: expected a probability for all {total:,} {what}, found none for"
                f" {len(missing):,}: {some}",
                hint="the file must describe every image of train (untagged ones too), held-out"
                " part and test, by id or path, and every class by its name",
            )


def read_teacher_table(path: Path) -> TeacherTable:
    """Read a table.

    Args:
        path: ``.npz``, ``.safetensors``, ``.csv`` or ``.parquet``; see the module's text.

    Raises:
        DataError: The file is missing, of another kind or layout, names an image or class twice, or
            holds a number that is no probability.
        MissingExtraError: Parquet without pyarrow.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path}: expected one of {', '.join(READERS)}, found {path.suffix!r}")
    try:
        images, classes, values = reader(path)
        table = np.asarray(values, np.float32)
    except (OSError, KeyError, ValueError, TypeError, SafetensorError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path}: cannot be read as a teacher's table: {str(error)[:200]}",
            hint="boxless.data.teacher_table makes one; docs/your-own-teacher.md has the layout",
        ) from error
    if table.shape != (len(images), len(classes)):
        raise DataError(
            f"{path}: expected probabilities of {len(images)} images x {len(classes)} classes,"
            f" found {table.shape}"
        )
    for what, names in (("image", images), ("class", classes)):
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise DataError(f"{path}: expected every {what} once, found {twice!r} twice or more")
    wrong = np.argwhere(~((table >= 0) & (table <= 1)))
    if len(wrong):
        row, column = wrong[0]
        raise DataError(
            f"{path}: expected probabilities from 0 to 1, found {table[row, column]:g} for image"
            f" {images[row]}, class {classes[column]}, and {len(wrong) - 1} more such",
            hint="of logits, store 1 / (1 + exp(-logit))",
        )
    return TeacherTable(str(path), tuple(images), tuple(classes), table)


def write_teacher_table(
    path: Path | str, images: Sequence[str], classes: Sequence[str], probabilities: Float32Array
) -> None:
    """Write a table as ``.npz`` or ``.safetensors``.

    Args:
        path: The file.
        images: M image ids or paths.
        classes: K class names.
        probabilities: (M, K) in [0, 1].

    Raises:
        DataError: The suffix is another.
    """
    target, values = Path(path), np.ascontiguousarray(probabilities, np.float32)
    if target.suffix == ".npz":
        np.savez_compressed(
            target, images=np.array(images), classes=np.array(classes), probabilities=values
        )
    elif target.suffix == ".safetensors":
        names = {"images": json.dumps(list(images)), "classes": json.dumps(list(classes))}
        save_file({"probabilities": values}, target, metadata=names)
    else:
        raise DataError(f"{target}: expected .npz or .safetensors, found {target.suffix!r}")


_Content = tuple[list[str], list[str], Any]


def _npz(path: Path) -> _Content:
    with np.load(path, allow_pickle=False) as file:
        return file["images"].tolist(), file["classes"].tolist(), file["probabilities"]


def _safetensors(path: Path) -> _Content:
    with safe_open(path, "numpy") as file:
        names = file.metadata() or {}
        values = file.get_tensor("probabilities")
    return json.loads(names["images"]), json.loads(names["classes"]), values


def _csv(path: Path) -> _Content:
    with path.open(newline="", encoding="utf-8-sig") as file:
        head, *rows = [row for row in csv.reader(file) if row]
    if head[0] != IMAGE:
        raise ValueError(f"expected {IMAGE!r} as first column, found {head[0]!r}")
    return [row[0] for row in rows], head[1:], [[float(v) for v in row[1:]] for row in rows]


def _parquet(path: Path) -> _Content:
    try:
        from pyarrow import ArrowInvalid, parquet  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError("pyarrow", "parquet") from error
    try:
        table = parquet.read_table(path)
    except ArrowInvalid as error:
        raise ValueError(str(error)) from error
    names = [name for name in table.column_names if name != IMAGE]
    values = np.stack([table[name].to_numpy() for name in names], 1)
    return [str(name) for name in table[IMAGE].to_pylist()], names, values


READERS: Final[dict[str, Callable[[Path], _Content]]] = {
    ".npz": _npz,
    ".safetensors": _safetensors,
    ".csv": _csv,
    ".parquet": _parquet,
}


def _keys(record: ImageRecord) -> tuple[str, ...]:
    """Names under which a table may know an image, surest first."""
    return (record.image_id, record.path, Path(record.path).name)
