"""Labels of the rows of a table: names in cells, or one column a class."""

from collections import Counter
from collections.abc import Mapping, Sequence

from boxless.data.cells import Cell, is_null, listed, truth
from boxless.data.column_names import ESCAPE
from boxless.data.columns import Roles
from boxless.data.dialect import TagDialect, find_dialect
from boxless.data.odd_names import doubtful, refuse_leftovers
from boxless.data.options import Options
from boxless.data.sheet import Row, Sheet
from boxless.errors import DataError, unknown_name
from boxless.types import ABSENT, PRESENT, UNKNOWN


class TagReader:
    """Labels of a table whose cells hold names of classes."""

    joins = True  # one row may say one tag

    def __init__(self, sheet: Sheet, roles: Roles, options: Options, fixed: Sequence[str]) -> None:
        self.sheet, self.roles = sheet, roles
        columns = (*roles.tags, *([roles.unknown] if roles.unknown else []))
        cells = [cell for name in columns for cell in sheet.column(name)]
        where = f"{sheet.file}: column {roles.tags[0]!r}"
        asked = options.text("label_separator")
        self.dialect: TagDialect = find_dialect(cells, where, asked)
        self._shared: dict[tuple[int, ...], tuple[int, ...]] = {}
        known = Counter(name for cell in cells for name in self.dialect.names(cell))
        if not known:
            raise DataError(f"{sheet.file}: no image has a tag in column {roles.tags[0]!r}")
        if asked is None and not fixed:
            texts = {cell for cell in cells if isinstance(cell, str) and listed(cell) is None}
            loose = {name for cell in texts for name in self.dialect.names(cell)}
            refuse_leftovers(known, loose, where)
        self.notes = [*self.dialect.notes, *doubtful(known)]
        if all(name.lstrip("-").isdecimal() for name in known):
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


class ColumnReader:
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
        counts = Counter(
            "" if is_null(row.cells[at]) else truth(row.cells[at])
            for row in sheet.rows
            for at in self._columns
        )
        self._values, self.notes = _meanings(counts, options, str(sheet.file))

    def labels(self, row: Row) -> tuple[int, ...]:
        """K labels of a row."""
        found = tuple(
            self._label(row, name, row.cells[at])
            for name, at in zip(self.classes, self._columns, strict=True)
        )
        return self._shared.setdefault(found, found)

    def _label(self, row: Row, name: str, cell: Cell) -> int:
        value = "" if is_null(cell) else truth(cell)
        if value is None:
            where = f"{row.file}:{row.line}:{self._columns[self.classes.index(name)] + 1}"
            raise DataError(
                f"{where}: expected 1 (present), 0 (absent) or -1 (unknown) for class {name!r}, "
                f"found {cell!r}",
                hint=f"if the column is no class, leave it out: ignore={name}",
            )
        return self._values[value]

    def __str__(self) -> str:
        shown = ", ".join(self.classes[:8]) + (" …" if len(self.classes) > 8 else "")
        return f"classes = {len(self.classes)} columns {shown}"


def _meanings(
    counts: Mapping[int | str | None, int], options: Options, file: str
) -> tuple[dict[int | str, int], list[str]]:
    """What 1, 0, -1 and empty cells mean, and what to tell. -1 for "absent" is caught here."""
    minus = options.one_of("minus", "", "unknown", "absent")
    values: dict[int | str, int] = {PRESENT: PRESENT, ABSENT: ABSENT, UNKNOWN: UNKNOWN}
    if minus == "absent":
        values |= {ABSENT: UNKNOWN, UNKNOWN: ABSENT}
    elif not minus and counts[UNKNOWN] > 10 * counts[ABSENT] and not counts[""]:
        raise DataError(
            f"{file}: {counts[UNKNOWN]} labels are -1 and {counts[ABSENT]} are 0: -1 may mean "
            "unknown, as here, or absent, as in PASCAL VOC",
            hint="say which: minus=unknown, or minus=absent (0 is unknown then); or write 0 where "
            "a class is absent",
        )
    words = {ABSENT: "absent", UNKNOWN: "unknown"}
    usual = ABSENT if counts[UNKNOWN] or not counts[ABSENT] else UNKNOWN
    asked = options.one_of("empty", words[usual], *words.values())
    values[""] = ABSENT if asked == "absent" else UNKNOWN
    notes = []
    if counts[""]:
        other = words[UNKNOWN if values[""] == ABSENT else ABSENT]
        notes.append(f"{counts['']} empty cells are {asked} (empty={other} takes them otherwise)")
    absent, unknown = (
        sum(counts[said] for said, value in values.items() if value == meant)
        for meant in (ABSENT, UNKNOWN)
    )
    if unknown > absent:
        notes.append(f"{unknown} labels are unknown and only {absent} are absent")
    return values, notes
