"""A table as it lies in a file: CSV with any delimiter, JSON lines, JSON or Parquet."""

import csv
import gzip
import io
import json
import re
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from boxless.data.cells import Cell, names_in
from boxless.data.column_names import plain
from boxless.data.dialect import SEPARATORS
from boxless.data.find_images import SUFFIXES
from boxless.data.json_table import json_rows
from boxless.data.strangers import HEAD, stranger
from boxless.errors import DataError, MissingExtraError
from boxless.files.paths import AnyPath

PARQUET = (".parquet", ".pq")
JSON = (".json", ".jsonl", ".ndjson")
csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # masks and boxes in a cell may be long
_DELIMITERS = (",", ";", "\t", "|")
_ABOVE = 10  # rows in which the header is looked for
_FORMULA = re.compile(r'\A="([^"]*)"\Z')  # how spreadsheets are told that a cell is text
_UTF32 = (b"\xff\xfe\0\0", b"\0\0\xfe\xff")
_EXCEL = re.compile(r'"?sep=(.)"?\r?\n', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Row:
    """One row.

    Attributes:
        file: The table it stands in.
        line: Its line there, or its number from 1 where there are no lines.
        cells: As many as the header has.
    """

    file: AnyPath
    line: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table: names of columns, and rows.

    Attributes:
        file: The (first) file.
        header: Names of the columns, each once.
        rows: At least one.
        notes: What was found out about the file, for the user.
    """

    file: AnyPath
    header: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()

    def column(self, name: str) -> list[Cell]:
        """All cells of a column."""
        place = self.header.index(name)
        return [row.cells[place] for row in self.rows]

    def where(self, row: Row, name: str) -> str:
        """``file:line:column`` of a cell; the column counts fields from 1."""
        return f"{row.file}:{row.line}:{self.header.index(name) + 1}"


def read_sheet(file: AnyPath, paths: frozenset[str], delimiter: str | None = None) -> Sheet:
    """Read a table whatever its form.

    Args:
        file: CSV (also with tabs, semicolons or bars), ``.jsonl``, ``.json`` or ``.parquet``.
        paths: Names of columns, in lower case, that tell a header from anything else.
        delimiter: Between columns of a CSV, itself or its name; found by itself if None.

    Raises:
        DataError: It is missing or malformed; the message says ``file:line``.
        MissingExtraError: A Parquet file, and pyarrow is not installed.
    """
    if not file.is_file():
        found = "a folder" if file.is_dir() else "nothing"
        hint = f"folder:{file} reads folders of images" if found == "a folder" else ""
        raise DataError(f"expected a CSV file at {file}, found {found}", hint=hint)
    suffix = file.suffix.lower()
    try:
        content = b"" if suffix in PARQUET else file.read_bytes()
        if suffix in PARQUET or content.startswith(b"PAR1"):
            return _of_records(file, _parquet_rows(file))
        if content.startswith(b"\x1f\x8b"):
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{file}: cannot be read ({reason})") from error
    text = _decoded(file, content)
    if suffix in JSON or text.lstrip()[:1] == "{" or text.lstrip()[:2] in ("[{", "[["):
        return _of_records(file, json_rows(file, text, paths))
    return _of_text(file, text, paths, delimiter)


def join_sheets(sheets: Sequence[Sheet], split_column: str, splits: Sequence[str]) -> Sheet:
    """Put tables of several splits under one header.

    Args:
        sheets: The tables; a column that one of them lacks is empty there.
        split_column: Name of the column that says which table a row is from.
        splits: What that column says for each table.
    """
    header = tuple(dict.fromkeys(chain.from_iterable(sheet.header for sheet in sheets)))
    header = (*(name for name in header if name != split_column), split_column)
    rows = []
    for sheet, split in zip(sheets, splits, strict=True):
        places = [sheet.header.index(name) if name in sheet.header else -1 for name in header]
        for row in sheet.rows:
            cells = tuple(row.cells[place] if place >= 0 else "" for place in places[:-1])
            rows.append(Row(row.file, row.line, (*cells, split)))
    notes = tuple(dict.fromkeys(chain.from_iterable(sheet.notes for sheet in sheets)))
    return Sheet(sheets[0].file, header, tuple(rows), notes)


def _decoded(file: AnyPath, content: bytes) -> str:
    wide = content[:2] in (b"\xff\xfe", b"\xfe\xff") or content[:4] == _UTF32[1]
    if content.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise DataError(
            f"{file}: expected text, found a workbook or an archive",
            hint="save the table as 'CSV UTF-8', or unpack it",
        )
    if found := stranger(content[:HEAD]):
        raise DataError(f"{file}: expected a table, found {found}")
    if b"\0" in content and not wide:
        raise DataError(
            f"{file}: expected UTF-8 text, found NUL bytes at byte {content.index(0)}",
            hint="the file is damaged, or of another kind; save the table as 'CSV UTF-8'",
        )
    try:
        encoding = "utf-32" if content[:4] in _UTF32 else "utf-16" if wide else "utf-8"
        return content.decode(encoding).lstrip("\ufeff").rstrip("\x1a")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file}: expected UTF-8 text, found byte {error.object[error.start]:#04x}",
            hint="save the table as 'CSV UTF-8'",
        ) from error


def _of_text(file: AnyPath, text: str, paths: frozenset[str], delimiter: str | None) -> Sheet:
    skipped = 0
    if (told := _EXCEL.match(text)) is not None:
        delimiter, text, skipped = delimiter or told[1], text[told.end() :], 1
    if delimiter is not None:
        delimiter = SEPARATORS.get(delimiter.lower(), delimiter)
        if len(delimiter) != 1:
            raise DataError(f"{file}: expected delimiter as one character, found {delimiter!r}")
    else:
        delimiter = max(_DELIMITERS, key=lambda mark: _fit(text, mark, paths))
    lines = list(_numbered(file, text, delimiter, skipped))
    if not lines:
        raise DataError(f"{file}: the table is empty, expected a header row")
    above = next((n for n, (_, cells) in enumerate(lines[:_ABOVE]) if _names(cells, paths)), 0)
    notes = [] if delimiter == "," else [f"columns parted by {delimiter!r}"]
    if above:
        notes.append(f"{above} lines above the header are left out, first {lines[0][1][0]!r}")
    first, *lines = lines[above:]
    repeated = sum(cells == first[1] for _, cells in lines)
    if repeated:
        notes.append(f"the header stands {repeated} times more between the rows: left out")
    header = [name if name.startswith("class:") else name.strip() for name in first[1]]
    rows = []
    for number, cells in lines:
        if cells == first[1]:
            continue
        if len(cells) != len(header):
            raise DataError(
                f"{file}:{number}: expected {len(header)} cells as in the header, "
                f"found {len(cells)}",
                hint=f"a cell that holds {delimiter!r} itself stands in double quotes",
            )
        rows.append(Row(file, number, tuple(_FORMULA.sub(r"\1", cell.strip()) for cell in cells)))
    return _checked(file, header, rows, tuple(notes))


def _fit(text: str, delimiter: str, paths: frozenset[str]) -> tuple[bool, int]:
    """How well a delimiter makes sense of the header."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    try:
        rows = list(islice((cells for cells in reader if any(cells)), _ABOVE))
    except csv.Error:
        return False, 0
    header = next((cells for cells in rows if _names(cells, paths)), [])
    return bool(header), len(header or (rows[0] if rows else []))


def _names(cells: Sequence[str], paths: frozenset[str]) -> bool:
    """Whether a row is a header: a cell is the name of a column of images, none is an image's."""
    if any(Path(cell.strip()).suffix.lower() in SUFFIXES for cell in cells):
        return False
    return any(cell.strip().lower() in paths or plain(cell) in paths for cell in cells)


def _numbered(
    file: AnyPath, text: str, delimiter: str, skipped: int
) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not blank, with the line they end on."""
    stream = io.StringIO(text, newline="")
    reader = csv.reader(stream, delimiter=delimiter, strict=True, skipinitialspace=True)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num + skipped, cells
    except csv.Error as error:
        raise DataError(
            f"{file}:{reader.line_num + skipped}: broken CSV ({error})",
            hint="a quoted cell ends with a quote right before the delimiter; quotes in it doubled",
        ) from error


def _parquet_rows(file: AnyPath) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError("pyarrow", "parquet") from error
    try:
        with file.open("rb") as stream:
            table = parquet.read_table(stream)
    except (pa.ArrowException, ValueError, EOFError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{file}: no Parquet file, or a damaged one ({reason})") from error
    names = _hugging_face_names(table.schema.metadata or {})
    for number, row in enumerate(table.to_pylist(), start=1):
        yield (
            number,
            {
                key: _named(value, names[key]) if key in names else value
                for key, value in row.items()
            },
        )


def _hugging_face_names(metadata: Mapping[bytes, bytes]) -> dict[str, list[str]]:
    """Class names that Hugging Face's datasets keeps beside columns of numbers."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        return {
            key: list(inner["names"])
            for key, feature in features.items()
            for inner in (feature, feature.get("feature") or {})
            if inner.get("_type") == "ClassLabel"
        }
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}


def _named(value: Any, names: Sequence[str]) -> Any:
    if isinstance(value, list):
        return [_named(item, names) for item in value]
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else value


def _of_records(file: AnyPath, records: Iterable[tuple[int, Mapping[str, Any]]]) -> Sheet:
    found = list(records)
    header = list(dict.fromkeys(key for _, item in found for key in item))
    rows = [
        Row(file, number, tuple(_cell(item.get(key), file, number) for key in header))
        for number, item in found
    ]
    return _checked(file, header, rows, ())


def _cell(value: Any, file: AnyPath, number: int) -> Cell:
    """A value of JSON or Parquet as a cell."""
    if value is None or value != value:  # noqa: PLR0124 - not a number
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, Mapping) and isinstance(value.get("bytes"), bytes):
        raise DataError(
            f"{file}:{number}: expected names of image files, found images inside the table",
            hint="save them as files and name those in a column file_name",
        )
    if isinstance(value, Mapping) and isinstance(value.get("path"), str):
        return str(value["path"])
    if isinstance(value, Mapping | list | tuple):
        try:
            return tuple(names_in(value))
        except DataError:
            return str(value)  # metadata, such as boxes by name
    return str(value)


def _checked(
    file: AnyPath, header: Sequence[str], rows: Sequence[Row], notes: tuple[str, ...]
) -> Sheet:
    names = [name or f"(column {number})" for number, name in enumerate(header, start=1)]
    for number, name in enumerate(names, start=1):
        if names.index(name) != number - 1:
            raise DataError(
                f"{file}:1:{number}: expected every column named once, found column {name!r} twice"
            )
    if not rows:
        raise DataError(f"{file}: the table has a header but no images")
    return Sheet(file, tuple(names), tuple(rows), notes)
