"""Read and write ``csv:FILE``: tables of images and tags in any dialect.

Tags stand in one column (``path,labels[,split]``), in one row each, or in one column a class
(``path[,split],cat,dog,…`` with 1 present, 0 absent, -1 unknown). CSV, JSON lines and Parquet are
read alike. What is what is found out and told; see `boxless.data.columns` and `boxless.data.cells`.
"""

import csv
import io
import os
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from boxless.data.cells import Cell, TagDialect, find_dialect, is_null, truth
from boxless.data.columns import ESCAPE, PATHS, Roles, find_roles, is_class_name
from boxless.data.find_images import SUFFIXES
from boxless.data.image_files import FolderListings
from boxless.data.manifest import Manifest
from boxless.data.options import Options, cut_options
from boxless.data.settle import OPTIONS as COMMON
from boxless.data.settle import settle
from boxless.data.sheet import Row, Sheet, join_sheets, read_sheet
from boxless.data.text import read_class_names
from boxless.errors import DataError, unknown_name
from boxless.files.atomic import write_atomically
from boxless.files.paths import AnyPath, RemotePath, is_url, place
from boxless.types import ABSENT, PRESENT, UNKNOWN, ImageRecord

OPTIONS = ("path", "labels", "split", "label_separator", "delimiter", "empty", "root", *COMMON)
_SAMPLE = 40


def read(location: str) -> Manifest:
    """Read a table of tagged images.

    Paths are relative to the table's folder. An image without any tag is kept. Without a column
    that says the split a fifth of the images, chosen by a hash of their paths, is the test split.
    A file ``FILE.classes.txt`` beside the table, one name a line, fixes the classes and their
    order; else tags are sorted by name and class columns keep their order.

    Args:
        location: ``FILE[,OPTION=VALUE…]``, a path or a URL; CSV with any delimiter, JSON lines or
            Parquet. Options: ``path=``, ``labels=``, ``split=`` name columns;
            ``label_separator=`` parts the names of a cell (``space``, ``none`` …); ``delimiter=``
            parts columns; ``empty=absent|unknown`` says what an empty cell of a class means;
            ``root=DIR`` is the folder of the images; ``test=FILE`` and ``val=FILE`` are tables of
            these parts; and those of `boxless.data.settle.settle`.

    Returns:
        Manifest without boxes; an image's id is its path relative to the table.

    Raises:
        DataError: The table is malformed, or may be read in two ways; the message says
            ``file:line`` or ``file:line:column``.
    """
    where, options = cut_options("csv", location, OPTIONS)
    file = _absolute(place(where))
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
    roles = find_roles(sheet, options, fixed)
    reader = _TagReader if roles.tags else _ColumnReader
    found = reader(sheet, roles, options, fixed)
    places = _Places(sheet, roles, options, base or first.parent)
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
    notes = [*sheet.notes, *found.notes, *places.notes]
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


class _TagReader:
    """Labels of a table whose cells hold names of classes."""

    joins = True  # one row may say one tag

    def __init__(self, sheet: Sheet, roles: Roles, options: Options, fixed: Sequence[str]) -> None:
        self.sheet, self.roles = sheet, roles
        columns = (*roles.tags, *([roles.unknown] if roles.unknown else []))
        cells = [cell for name in columns for cell in sheet.column(name)]
        where = f"{sheet.file}: column {roles.tags[0]!r}"
        self.dialect: TagDialect = find_dialect(cells, where, options.text("label_separator"))
        self.notes = list(self.dialect.notes)
        self._shared: dict[tuple[int, ...], tuple[int, ...]] = {}
        known = {name for cell in set(cells) for name in self.dialect.names(cell)}
        if not known:
            raise DataError(f"{sheet.file}: no image has a tag in column {roles.tags[0]!r}")
        if all(name.isdecimal() for name in known):
            self.notes.append(f"all tags are numbers, such as {min(known)!r}: taken as names")
        self.classes = tuple(fixed or sorted(known))
        self._places = {name: number for number, name in enumerate(self.classes)}

    def labels(self, row: Row) -> tuple[int, ...]:
        """K labels of a row."""
        values = [ABSENT] * len(self.classes)
        sign = PRESENT
        if self.roles.verdict is not None:
            sign = truth(row.cells[self.sheet.header.index(self.roles.verdict)]) or ABSENT
        if self.roles.unknown is not None:
            self._mark(row, self.roles.unknown, values, UNKNOWN)
        for column in self.roles.tags:
            self._mark(row, column, values, sign)
        found = tuple(values)
        return self._shared.setdefault(found, found)  # most rows are not the only ones

    def _mark(self, row: Row, column: str, values: list[int], sign: int) -> None:
        for name in self.dialect.names(row.cells[self.sheet.header.index(column)]):
            if name not in self._places:
                where = self.sheet.where(row, column)
                raise DataError(f"{where}: {unknown_name('class', name, self.classes)}")
            values[self._places[name]] = sign

    def __str__(self) -> str:
        word = "column" if len(self.roles.tags) == 1 else "columns"
        return f"labels = {word} {', '.join(self.roles.tags)} {self.dialect}"


class _ColumnReader:
    """Labels of a table with one column a class."""

    joins = False

    def __init__(self, sheet: Sheet, roles: Roles, options: Options, fixed: Sequence[str]) -> None:
        self.sheet = sheet
        names = {column.removeprefix(ESCAPE): column for column in roles.classes}
        wanted = tuple(fixed) or tuple(options.names("classes", sheet.header)) or tuple(names)
        ignored = options.names("ignore", sheet.header)
        for name, column in names.items():
            if name not in wanted and fixed:
                where = f"{sheet.file}:1:{sheet.header.index(column) + 1}"
                raise DataError(f"{where}: {unknown_name('class', name, wanted)}")
        missing = [name for name in wanted if name not in names and name not in ignored]
        if missing:
            raise DataError(
                f"{sheet.file}:1: expected a column for each class that is asked for, "
                f"found none for {', '.join(missing[:8])}"
            )
        self.classes = tuple(name for name in wanted if name in names)
        self._columns = [sheet.header.index(names[name]) for name in self.classes]
        self._shared: dict[tuple[int, ...], tuple[int, ...]] = {}
        counts = dict.fromkeys((PRESENT, ABSENT, UNKNOWN, None), 0)
        for row in sheet.rows:
            for cell in (row.cells[at] for at in self._columns):
                counts[None if is_null(cell) else truth(cell)] += 1
        self._empty, self.notes = self._meaning(
            counts, options.one_of("empty", "", "absent", "unknown")
        )

    def labels(self, row: Row) -> tuple[int, ...]:
        """K labels of a row."""
        found = tuple(
            self._label(row, name, row.cells[at])
            for name, at in zip(self.classes, self._columns, strict=True)
        )
        return self._shared.setdefault(found, found)

    def _label(self, row: Row, name: str, cell: Cell) -> int:
        value = self._empty if is_null(cell) else truth(cell)
        if value is None:
            where = f"{row.file}:{row.line}:{self._columns[self.classes.index(name)] + 1}"
            raise DataError(
                f"{where}: expected 1 (present), 0 (absent) or -1 (unknown) for class {name!r}, "
                f"found {cell!r}",
                hint=f"if the column is no class, leave it out: ignore={name}",
            )
        return value

    def _meaning(self, counts: Mapping[int | None, int], asked: str) -> tuple[int, list[str]]:
        """What an empty cell means, and what to tell. -1 for "absent" is caught here."""
        notes = []
        empty = ABSENT if counts[UNKNOWN] or not counts[ABSENT] else UNKNOWN
        if asked:
            empty = ABSENT if asked == "absent" else UNKNOWN
        blank = sum(is_null(row.cells[at]) for row in self.sheet.rows for at in self._columns)
        if blank:
            word, other = ("absent", "unknown") if empty == ABSENT else ("unknown", "absent")
            notes.append(f"{blank} empty cells are {word} (empty={other} takes them otherwise)")
        absent = counts[ABSENT] + (blank if empty == ABSENT else 0)
        unknown = counts[UNKNOWN] + (blank if empty == UNKNOWN else 0)
        if counts[UNKNOWN] and not absent:
            raise DataError(
                f"{self.sheet.file}: no label is 0 (absent) but {unknown} are -1, which means "
                "unknown here",
                hint="write 0 where a class is absent",
            )
        if unknown > absent:
            notes.append(f"{unknown} labels are -1 (unknown) and only {absent} are 0 (absent)")
        return empty, notes

    def __str__(self) -> str:
        shown = ", ".join(self.classes[:8]) + (" …" if len(self.classes) > 8 else "")
        return f"classes = {len(self.classes)} columns {shown}"


class _Places:
    """Where the images of a table lie."""

    def __init__(self, sheet: Sheet, roles: Roles, options: Options, base: AnyPath) -> None:
        self.notes: list[str] = []
        self._base = base
        self._listings = FolderListings()
        self._root = options.text("root")
        self._folders: dict[AnyPath, AnyPath] = {}
        at = sheet.header.index(roles.path)
        for row in sheet.rows:
            if row.file.parent not in self._folders:
                names = [str(r.cells[at]) for r in sheet.rows if r.file == row.file]
                self._folders[row.file.parent] = self._folder(row.file.parent, names[:_SAMPLE])

    def locate(self, written: str, table: AnyPath) -> tuple[str, str]:
        """Where an image lies that a table names, and its id."""
        folder = self._folders[table.parent]
        if is_url(written):
            return written, written.removeprefix(f"{self._base}/")
        if isinstance(folder, RemotePath):
            inner = posixpath.normpath(written)
            return str(folder.joined(inner)), inner
        path = self._completed(_joined(folder, written))
        # text, not paths: those keep every name they ever saw
        inside = os.path.join(str(self._base), "")  # noqa: PTH118
        if path.startswith(inside):
            return path, path.removeprefix(inside).replace(os.sep, "/")
        return path, Path(written).as_posix()

    def _folder(self, folder: AnyPath, names: Sequence[str]) -> AnyPath:
        """The folder that names are relative to: the table's, or one in it that holds them all."""
        if self._root is not None:
            root = place(self._root)
            return (
                root if isinstance(root, RemotePath) else _absolute(folder / str(root.expanduser()))
            )
        if isinstance(folder, RemotePath) or any(self._is_there(folder, name) for name in names):
            return folder
        try:
            inner = sorted(entry for entry in folder.iterdir() if entry.is_dir())
        except OSError:
            return folder
        for candidate in inner:
            if all(self._is_there(candidate, name) for name in names):
                self.notes.append(f"images are in the folder {candidate.name} beside the table")
                return candidate
        return folder

    def _is_there(self, folder: Path, name: str) -> bool:
        return is_url(name) or self._completed(_joined(folder, name)) in self._listings

    def _completed(self, path: str) -> str:
        """The path with the ending its file has, where a table leaves that out."""
        if Path(path).suffix.lower() in SUFFIXES or path in self._listings:
            return path
        return next((path + s for s in sorted(SUFFIXES) if path + s in self._listings), path)


def _joined(folder: Path, written: str) -> str:
    slashed = written.replace("\\", "/")
    return os.path.normpath(os.path.join(folder, os.path.expanduser(slashed)))  # noqa: PTH111, PTH118


def _absolute(file: AnyPath) -> AnyPath:
    if isinstance(file, Path):
        return Path(os.path.abspath(file.expanduser()))  # noqa: PTH100 - keeps symlinks
    return file


def _record(sheet: Sheet, roles: Roles, row: Row, places: _Places) -> ImageRecord:
    written = str(row.cells[sheet.header.index(roles.path)])
    if is_null(written):
        where = sheet.where(row, roles.path)
        raise DataError(f"{where}: expected the path of an image, found none")
    path, image_id = places.locate(written, row.file)
    split = roles.split_of(sheet, row.cells)
    if roles.split is not None and is_null(split):
        where = sheet.where(row, roles.split)
        raise DataError(f"{where}: expected a split such as train or test, found none")
    return ImageRecord(image_id, path, split, (), None, f"{row.file}:{row.line}")


def _reading(roles: Roles, found: _TagReader | _ColumnReader) -> str:
    parts = [f"path = {roles.path}, {found}"]
    if roles.left_out:
        parts.append(f"left out: {', '.join(roles.left_out)}")
    split = [roles.split] if roles.split else list(roles.flags)
    if split:
        parts.append(f"split = {', '.join(split)}")
    return "; ".join(parts)
