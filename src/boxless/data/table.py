"""Read and write ``csv:FILE``: tables of images and tags in any dialect.

Tags stand in one column (``path,labels[,split]``), in one row each, or in one column a class
(``path[,split],cat,dog,…`` with 1 present, 0 absent, -1 unknown). CSV, JSON lines and Parquet are
read alike. What is what is found out and told; see `boxless.data.columns` and `boxless.data.cells`.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace

from boxless.data.cells import NOTHING, is_null
from boxless.data.column_names import ESCAPE, PATHS, is_class_name
from boxless.data.columns import Roles, find_roles
from boxless.data.manifest import Manifest
from boxless.data.options import Options, absolute, cut_options
from boxless.data.settle import OPTIONS as COMMON
from boxless.data.settle import settle
from boxless.data.sheet import Row, Sheet, join_sheets, read_sheet
from boxless.data.table_labels import ColumnReader, TagReader
from boxless.data.table_places import TablePlaces
from boxless.data.text import read_class_names
from boxless.errors import DataError
from boxless.files.atomic import write_atomically
from boxless.files.paths import AnyPath, place
from boxless.types import ImageRecord

OPTIONS = (
    *("path", "labels", "split", "label_separator", "delimiter", "empty", "minus", "root"),
    *COMMON,
)


def read(location: str) -> Manifest:
    """Read a table of tagged images.

    Paths are relative to the table's folder. An image without any tag is kept. Without a column
    that says the split a fifth of the images, chosen by a hash of their paths, is the test split.
    A file ``FILE.classes.txt`` beside the table, one name per line, fixes the classes and their
    order; else tags are sorted by name and class columns keep their order.

    Args:
        location: ``FILE[,OPTION=VALUE…]``, a path or a URL; CSV with any delimiter, JSON lines or
            Parquet. Options: ``path=``, ``labels=``, ``split=`` name columns;
            ``label_separator=`` parts the names of a cell (``space``, ``none`` …); ``delimiter=``
            parts columns; ``empty=absent|unknown`` and ``minus=unknown|absent`` say what an empty
            cell and -1 mean in a column of a class;
            ``root=DIR`` is the folder of the images; ``test=FILE`` and ``val=FILE`` are tables of
            these parts; and those of `boxless.data.settle.settle`.

    Returns:
        Manifest without boxes; an image's id is its path relative to the table.

    Raises:
        DataError: The table is malformed, or may be read in two ways; the message says
            ``file:line`` or ``file:line:column``.
    """
    where, options = cut_options("csv", location, OPTIONS)
    file = absolute(place(where))
    others, options = options.part_files(file.parent)
    return read_files({"": file, **others}, options, location)


def read_files(
    files: Mapping[str, AnyPath], options: Options, location: str, *, base: AnyPath | None = None
) -> Manifest:
    """Read tables of one data set.

    Args:
        files: Table of each split, the first one's name may be "" where there are others.
        options: As of `read`, without tables.
        location: What the user wrote, for messages.
        base: Folder that ids are relative to, by default the first table's.
    """
    paths = frozenset((*PATHS, *(path.replace("_", "") for path in PATHS)))
    paths |= {name.lower() for name in options.names("path")}
    sheets = [read_sheet(file, paths, options.text("delimiter")) for file in files.values()]
    sheet = sheets[0]
    if len(sheets) > 1 or "" not in files:
        sheet = join_sheets(sheets, "split", [part or "train" for part in files])
    first = sheet.file
    options = options.with_class_file(first.parent)
    beside = first.with_name(f"{first.name}.classes.txt")
    fixed = read_class_names(beside) if beside.exists() else ()
    roles, lacking = _roles(sheets, sheet, options, fixed)
    reader = TagReader if roles.tags else ColumnReader
    found = reader(sheet, roles, options, fixed)
    places = TablePlaces(sheet, roles, options, base or first.parent)
    records: dict[str, ImageRecord] = {}
    repeated = 0
    for row in sheet.rows:
        record = _record(sheet, roles, row, places)
        labels = found.labels(row)
        known = records.get(record.image_id)
        if known is not None and found.joins and known.split == record.split:
            labels = tuple(map(max, known.labels, labels))
            repeated += 1
        elif known is not None:
            Manifest(
                first.stem, found.classes, (known, replace(record, labels=labels))
            )  # tells of both
        records[record.image_id] = replace(known or record, labels=labels)
    notes = [*sheet.notes, *lacking, *found.notes, *places.notes]
    if repeated:
        notes.append(f"{repeated} rows name an image again: its tags are those of all its rows")
    reading = _reading(roles, found)
    draft = Manifest(first.stem, found.classes, tuple(records.values()), tuple(notes), (reading,))
    return settle(draft, options, location=location, check_files=False, known=sheet.header)


def write(manifest: Manifest, file: AnyPath, paths: Sequence[str]) -> None:
    """Write a manifest as a table with one column a class; replaces the file at once or not at all.

    Boxes are not written. A class whose name would be taken for something else is written with
    ``class:`` before it, so every name comes back as it was.

    Args:
        manifest: Images and tags.
        file: The CSV file to write.
        paths: (M,) image paths as they shall stand in the table.

    Raises:
        RunError: The file cannot be written.
    """
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    columns = (n if is_class_name(n) else f"{ESCAPE}{n}" for n in manifest.classes)
    writer.writerow(("path", "split", *columns))
    for path, record in zip(paths, manifest.records, strict=True):
        writer.writerow((path, record.split, *record.labels))
    write_atomically(file, stream.getvalue().encode())


def _roles(
    sheets: Sequence[Sheet], joined: Sheet, options: Options, fixed: Sequence[str]
) -> tuple[Roles, list[str]]:
    """Roles of the columns, which each table must have; notes of classes that one lacks.

    Raises:
        DataError: As of `find_roles`, with the columns of each table where they differ; or a table
            has no column of images, or none of tags.
    """
    try:
        roles = find_roles(joined, options, fixed)
    except DataError as error:
        if len({sheet.header for sheet in sheets}) == 1:
            raise
        columns = "; ".join(f"{s.file} has {', '.join(s.header[:8])}" for s in sheets)
        hints = ("name the columns of all tables alike", error.hint)
        raise DataError(
            f"{error.message} ({columns})", hint="; or ".join(filter(None, hints))
        ) from error
    notes = []
    for sheet in sheets:
        for wanted in ((roles.path,), roles.tags or roles.classes):
            if not set(wanted) & set(sheet.header):
                raise _no_column(sheet, wanted, sheets, labels=wanted == roles.tags)
        if absent := [name for name in roles.classes if name not in sheet.header]:
            shown = ", ".join(map(repr, absent[:8]))
            notes.append(f"{sheet.file} has no column {shown}: taken as empty cells")
    return roles, notes


def _no_column(
    sheet: Sheet, wanted: Sequence[str], sheets: Sequence[Sheet], *, labels: bool
) -> DataError:
    other = next(s.file for s in sheets if set(wanted) & set(s.header))
    shown = " or ".join(map(repr, wanted[:8]))
    more = f", or give all names: labels={'+'.join((*wanted, 'NAME'))}" if labels else ""
    return DataError(
        f"{sheet.file}:1: expected the column {shown} as in {other}, found only"
        f" {', '.join(sheet.header[:8])}",
        hint=f"name the columns of all tables alike{more}",
    )


def _record(sheet: Sheet, roles: Roles, row: Row, places: TablePlaces) -> ImageRecord:
    written = str(row.cells[sheet.header.index(roles.path)])
    if is_null(written):
        where = sheet.where(row, roles.path)
        raise DataError(f"{where}: expected the path of an image, found none")
    path, image_id = places.locate(written, row.file)
    split = roles.split_of(sheet, row.cells)
    if roles.split is not None and split.strip().lower() in NOTHING:
        where = sheet.where(row, roles.split)
        raise DataError(f"{where}: expected a split such as train or test, found none")
    return ImageRecord(image_id, path, split, (), None, f"{row.file}:{row.line}")


def _reading(roles: Roles, found: TagReader | ColumnReader) -> str:
    parts = [f"path = {roles.path}, {found}"]
    if roles.left_out:
        parts.append(f"left out: {', '.join(roles.left_out)}")
    split = [roles.split] if roles.split else list(roles.flags)
    if split:
        parts.append(f"split = {', '.join(split)}")
    return "; ".join(parts)
