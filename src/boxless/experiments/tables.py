"""The paper's tables as data: one TOML file per table in the folder ``data``.

A row names what makes it: a way to distil (`boxless.methods.table`) or ``teacher``,
in one of the table's runs. Rows without one are other authors' numbers, which only stand beside.
The paper's numbers are in percent, by data set and metric; none where the sources have none.
"""

import tomllib
from typing import Annotated, Any, Final, Self

from pydantic import Field, model_validator

from boxless.errors import ConfigError, unknown_name
from boxless.methods.table import METHODS
from boxless.recipe.recipe_files import bundled, bundled_text
from boxless.report.part import Part
from boxless.report.results import TEACHER
from boxless.report.variants import METRICS

MAIN: Final = "main"
"""The run with the recipe as it is."""
TAGS: Final = "tags"
"""Name of the learning curve, which is no table of the paper."""

Percent = Annotated[float, Field(ge=0, le=100)]


class TableRow(Part):
    """One row.

    Attributes:
        name: As the paper calls it.
        method: ``teacher`` or a key of `METHODS`; None for other authors' numbers.
        run: The table's run that makes it.
        paper: Data set -> metric (a key of `METRICS`) -> the paper's number in percent.
    """

    name: str
    method: str | None = None
    run: str = MAIN
    paper: dict[str, dict[str, Percent]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        known = (TEACHER, *METHODS)
        if self.method is not None and self.method not in known:
            raise ValueError(unknown_name("method", self.method, known))
        for metric in (name for numbers in self.paper.values() for name in numbers):
            if metric not in METRICS:
                raise ValueError(unknown_name("metric", metric, METRICS))
        return self


class Ends(Part):
    """Rows between which a share is measured: what was lost, and how much of it a row recovers.

    Attributes:
        low: Name of the row that recovers nothing.
        high: Name of the row that recovers all.
    """

    low: str
    high: str


class PaperTable(Part):
    """A table or figure of the paper.

    Attributes:
        name: Such as ``table4``.
        title: What it shows.
        source: Where its numbers are from.
        notes: What to know when reading it.
        per_class: Whether it is drawn class by class (figure 4).
        ends: Rows between which the share ``(mAP - low) / (high - low)`` is shown of all others.
        runs: Name of a run -> dotted settings in which it differs from the recipe.
        rows: The rows, in the paper's order.
    """

    name: str
    title: str
    source: str
    notes: str = ""
    per_class: bool = False
    ends: Ends | None = None
    runs: dict[str, dict[str, Any]] = Field(default_factory=dict)
    rows: tuple[TableRow, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _runs_exist(self) -> Self:
        known = {MAIN, *self.runs}
        for row in self.rows:
            if row.run not in known:
                raise ValueError(f"row {row.name!r}: {unknown_name('run', row.run, known)}")
        names = [row.name for row in self.rows]
        if len(set(names)) < len(names):
            raise ValueError("two rows have one name")
        own = [row.name for row in self.own_rows]
        for end in (self.ends.low, self.ends.high) if self.ends else ():
            if end not in own:
                raise ValueError(f"ends: {unknown_name('row', end, own)}")
        return self

    @property
    def own_rows(self) -> tuple[TableRow, ...]:
        """Rows that a run makes."""
        return tuple(row for row in self.rows if row.method is not None)

    @property
    def run_names(self) -> tuple[str, ...]:
        """Runs that the rows need, in their order."""
        return tuple(dict.fromkeys(row.run for row in self.own_rows))

    @property
    def data_sets(self) -> tuple[str, ...]:
        """Data sets the paper has numbers for."""
        return tuple(dict.fromkeys(name for row in self.rows for name in row.paper))

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics the paper has numbers for, in the order of `METRICS`."""
        found = {name for row in self.rows for numbers in row.paper.values() for name in numbers}
        return tuple(name for name in METRICS if name in found)


def table_names() -> list[str]:
    """Names of all tables and figures."""
    return list(bundled("experiments.data"))


def load_table(name: str) -> PaperTable:
    """Read one table.

    Raises:
        ConfigError: There is no such table.
    """
    hint = "`boxless experiments list` shows what each holds"
    if name not in table_names():
        raise ConfigError(unknown_name("experiment", name, (*table_names(), TAGS)), hint=hint)
    text = bundled_text("experiment", "experiments.data", name, hint=hint)
    return PaperTable.model_validate({"name": name, **tomllib.loads(text)})
