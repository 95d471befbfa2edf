"""Read and write ``csv:FILE``: a table with one image a row.

Either tags in one column (``path,labels[,split]``, tags separated by ``;`` or ``|``) or one column
a class (``path[,split],cat,dog,…`` with 1 present, 0 absent, -1 unknown).
"""

import csv
import hashlib
import io
import os
import posixpath
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from boxless.data.manifest import Manifest
from boxless.data.text import read_class_names
from boxless.errors import DataError, unknown_name
from boxless.files.atomic import write_atomically
from boxless.files.paths import AnyPath, RemotePath, is_url, place
from boxless.types import ImageRecord

TEST_PERCENT = 20
"""Share of the images that become the test split where the table has no split column."""

_RESERVED = ("path", "split", "labels")
_VALUES = {"1": 1, "0": 0, "-1": -1}


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Table:
    file: AnyPath
    header: tuple[str, ...]
    rows: tuple[_Row, ...]

    def cell(self, row: _Row, column: str) -> str:
        """What a row has in a column."""
        return row.cells[self.header.index(column)]

    def cell_at(self, row: _Row, column: str) -> str:
        """``file:line:column`` of a cell; the column counts fields from 1."""
        return f"{self.file}:{row.line}:{self.header.index(column) + 1}"


def read(location: str) -> Manifest:
    """Read a table of tagged images.

    Paths are relative to the table's folder. An image without any tag is kept. Without a column
    ``split`` a fifth of the images, chosen by a hash of their paths, is the test split. A file
    ``FILE.classes.txt`` beside the table, one name a line, fixes the classes and their order;
    else tags are sorted by name and class columns keep their order.

    Args:
        location: The CSV file, or its URL; UTF-8, with a header row.

    Returns:
        Manifest without boxes; an image's id is its path relative to the table.

    Raises:
        DataError: The table is malformed; the message says ``file:line`` or ``file:line:column``.
    """
    file = place(location)
    if isinstance(file, Path):
        file = Path(os.path.abspath(file.expanduser()))  # noqa: PTH100 - keeps symlinks
    table = _read_table(file)
    fixed = _read_classes(file)
    if "labels" in table.header:
        classes, labels = _labels_of_tags(table, fixed)
    else:
        classes, labels = _labels_of_columns(table, fixed)
    notes = _doubtful_unknowns(table, labels)
    if "split" not in table.header:
        notes.append(
            f"no column 'split': {100 - TEST_PERCENT} % train and {TEST_PERCENT} % test, "
            "by a hash of the path"
        )
    records = tuple(
        _record(table, row, values) for row, values in zip(table.rows, labels, strict=True)
    )
    if "split" not in table.header and len({r.split for r in records}) < 2:
        raise DataError(
            f"{file}: {len(records)} images are too few to split by themselves",
            hint="add a column 'split' with train or test",
        )
    return Manifest(file.stem, classes, records, tuple(notes))


def write(manifest: Manifest, file: AnyPath, paths: Sequence[str]) -> None:
    """Write a manifest as a table with one column a class; replaces the file at once or not at all.

    Boxes are not written.

    Args:
        manifest: Images and tags.
        file: The CSV file to write.
        paths: (M,) image paths as they shall stand in the table.

    Raises:
        DataError: A class is named like one of the table's own columns.
        RunError: The file cannot be written.
    """
    taken = [name for name in manifest.classes if name in _RESERVED]
    if taken:
        raise DataError(
            f"a class named {taken[0]!r} cannot be a column: {', '.join(_RESERVED)} are taken"
        )
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("path", "split", *manifest.classes))
    for path, record in zip(paths, manifest.records, strict=True):
        writer.writerow((path, record.split, *record.labels))
    write_atomically(file, stream.getvalue().encode())


def _read_table(file: AnyPath) -> _Table:
    if not file.is_file():
        found = "a folder" if file.is_dir() else "nothing"
        raise DataError(f"expected a CSV file at {file}, found {found}")
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            return _table_of(file, _numbered(csv.reader(stream, strict=True), file))
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file}: expected UTF-8 text, found byte {error.object[error.start]:#04x}",
            hint="save the table as 'CSV UTF-8'",
        ) from error
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})") from error


def _table_of(file: AnyPath, lines: Iterator[tuple[int, list[str]]]) -> _Table:
    first = next(lines, None)
    if first is None:
        raise DataError(f"{file}: the table is empty, expected a header row")
    header = _check_header(file, [name.strip() for name in first[1]])
    rows = []
    for number, cells in lines:
        if len(cells) != len(header):
            raise DataError(
                f"{file}:{number}: expected {len(header)} cells as in the header, "
                f"found {len(cells)}"
            )
        rows.append(_Row(number, tuple(cell.strip() for cell in cells)))
    if not rows:
        raise DataError(f"{file}: the table has a header but no images")
    return _Table(file, header, tuple(rows))


def _numbered(reader: "csv._reader", file: AnyPath) -> Iterator[tuple[int, list[str]]]:  # type: ignore[name-defined, unused-ignore]
    """Rows that are not blank, with the line they end on."""
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise DataError(f"{file}:{reader.line_num}: broken CSV ({error})") from error


def _check_header(file: AnyPath, header: list[str]) -> tuple[str, ...]:
    for number, name in enumerate(header, start=1):
        if not name or header.index(name) != number - 1:
            what = f"column {name!r} twice" if name else "a column without a name"
            raise DataError(f"{file}:1:{number}: expected every column named once, found {what}")
    if "path" not in header:
        raise DataError(
            f"{file}:1: expected a column 'path', found {', '.join(header[:8])}",
            hint="write path,labels[,split] or path[,split],CLASS,CLASS,… into the first line",
        )
    others = [name for name in header if name not in _RESERVED]
    if "labels" in header and others:
        raise DataError(
            f"{file}:1: expected either a column 'labels' or one column a class, found 'labels' "
            f"and {', '.join(others[:8])}"
        )
    if "labels" not in header and not others:
        raise DataError(f"{file}:1: expected a column 'labels' or one column a class, found none")
    return tuple(header)


def _read_classes(file: AnyPath) -> tuple[str, ...] | None:
    path = file.with_name(f"{file.name}.classes.txt")
    return read_class_names(path) if path.exists() else None


def _labels_of_tags(
    table: _Table, fixed: tuple[str, ...] | None
) -> tuple[tuple[str, ...], list[tuple[int, ...]]]:
    parsed = cache(_tags)  # most rows are not the only ones
    tags = [parsed(table.cell(row, "labels")) for row in table.rows]
    classes = fixed or tuple(sorted(frozenset().union(*tags)))
    if not classes:
        raise DataError(f"{table.file}: no image has a tag in column 'labels'")
    for row, names in zip(table.rows, tags, strict=True):
        for name in sorted(names - set(classes)):
            where = table.cell_at(row, "labels")
            raise DataError(f"{where}: {unknown_name('class', name, classes)}")
    values = {names: tuple(int(name in names) for name in classes) for names in set(tags)}
    return classes, [values[names] for names in tags]  # equal rows share one tuple


def _tags(cell: str) -> frozenset[str]:
    return frozenset(filter(None, (tag.strip() for tag in re.split("[;|]", cell))))


def _labels_of_columns(
    table: _Table, fixed: tuple[str, ...] | None
) -> tuple[tuple[str, ...], list[tuple[int, ...]]]:
    columns = tuple(name for name in table.header if name not in _RESERVED)
    classes = fixed or columns
    for name in columns:
        if name not in classes:
            where = f"{table.file}:1:{table.header.index(name) + 1}"
            raise DataError(f"{where}: {unknown_name('class', name, classes)}")
    missing = [name for name in classes if name not in columns]
    if missing:
        raise DataError(
            f"{table.file}:1: expected a column for each class of {table.file.name}.classes.txt, "
            f"found none for {', '.join(missing[:8])}"
        )
    labels = []
    shared: dict[tuple[int, ...], tuple[int, ...]] = {}  # most rows are not the only ones
    places = [table.header.index(name) for name in classes]
    for row in table.rows:
        cells = [row.cells[at] for at in places]
        for name, cell in zip(classes, cells, strict=True):
            if cell not in _VALUES:
                raise DataError(
                    f"{table.cell_at(row, name)}: expected 1 (present), 0 (absent) or -1 "
                    f"(unknown) for class {name!r}, found {cell!r}"
                )
        values = tuple(_VALUES[cell] for cell in cells)
        labels.append(shared.setdefault(values, values))
    return classes, labels


def _doubtful_unknowns(table: _Table, labels: list[tuple[int, ...]]) -> list[str]:
    """Catch tables that mean "absent" by -1."""
    unknown, absent = (sum(row.count(value) for row in labels) for value in (-1, 0))
    if unknown and not absent:
        raise DataError(
            f"{table.file}: no label is 0 (absent) but {unknown} are -1, which means unknown here",
            hint="write 0 where a class is absent",
        )
    if unknown > absent:
        return [f"{unknown} labels are -1 (unknown) and only {absent} are 0 (absent)"]
    return []


def _record(table: _Table, row: _Row, labels: tuple[int, ...]) -> ImageRecord:
    written = table.cell(row, "path")
    if not written:
        raise DataError(f"{table.cell_at(row, 'path')}: expected the path of an image, found none")
    path, image_id = _located(written, table.file.parent)
    with_splits = "split" in table.header
    split = sys.intern(table.cell(row, "split") if with_splits else _split_by_hash(image_id))
    if not split:
        where = table.cell_at(row, "split")
        raise DataError(f"{where}: expected a split such as train or test, found none")
    return ImageRecord(image_id, path, split, labels, None, f"{table.file}:{row.line}")


def _located(written: str, folder: AnyPath) -> tuple[str, str]:
    """Where an image lies that a table in a folder names, and its id."""
    if is_url(written):
        start = f"{folder}/"
        return written, written.removeprefix(start)
    if isinstance(folder, RemotePath):
        inner = posixpath.normpath(written)
        return str(folder.joined(inner)), inner
    # text, not paths: those keep every name they ever saw
    path = os.path.normpath(os.path.join(folder, os.path.expanduser(written)))  # noqa: PTH111, PTH118
    inside = os.path.join(folder, "")  # noqa: PTH118
    if path.startswith(inside):
        return path, path.removeprefix(inside).replace(os.sep, "/")
    return path, Path(written).as_posix()


def _split_by_hash(image_id: str) -> str:
    digest = hashlib.blake2b(image_id.encode(), digest_size=8).digest()
    return "test" if int.from_bytes(digest, "big") % 100 < TEST_PERCENT else "train"
