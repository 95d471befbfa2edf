"""A finished table as one HTML page that loads nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from boxless.experiments.object_size import SizeGain
from boxless.experiments.order_plot import order_plot
from boxless.experiments.outcome import Outcome, OutcomeRow
from boxless.experiments.rendering import (
    data_sets,
    gain_cells,
    metrics,
    notes,
    share_cells,
    share_columns,
    verdicts,
)
from boxless.report import wording
from boxless.report.class_plots import gain_per_class
from boxless.report.html import readable_time, render_page
from boxless.report.results import Results
from boxless.report.tables import METRIC_COLUMNS

_MARKS: Final = {"holds": "holds", "does not hold": "fails", "within noise": ""}


@dataclass(frozen=True, slots=True)
class ClassGains:
    """Figure 4 of one row.

    Attributes:
        row: Name of the row.
        pair: Results with the row's method in the place of the distilled student.
    """

    row: str
    pair: Results


@dataclass(frozen=True, slots=True)
class _Line:
    """One row of the table as texts; `others` are those of other authors."""

    name: str
    cells: tuple[tuple[str, str], ...]
    others: bool
    full: bool


def page(
    outcome: Outcome,
    results: Mapping[str, Results],
    classes: ClassGains | None,
    sizes: Sequence[SizeGain],
) -> str:
    """The table, its orderings, figure 4 and its runs.

    Args:
        outcome: The finished table.
        results: Folder of each run, relative to the table's -> its ``results.json``.
        classes: Figure 4; None where no row has a gain.
        sizes: Gain by object size; may be empty.
    """
    return render_page(
        "table.html.j2",
        outcome=outcome,
        created=readable_time(outcome.created),
        verdicts=verdicts(outcome),
        notes=notes(outcome),
        metrics=[METRIC_COLUMNS[name] for name in metrics(outcome)],
        columns=_columns(outcome),
        shares=share_columns(outcome),
        rows=[_line(outcome, row) for row in outcome.rows],
        orders=order_plot(outcome.orders),
        marks=_MARKS,
        classes=classes,
        class_plot=None if classes is None else gain_per_class(classes.pair),
        sizes=sizes,
        runs=results,
    )


def _columns(outcome: Outcome) -> list[str]:
    """Headings below each metric; the notes name the data set where there is one."""
    names = data_sets(outcome)
    return [*(["paper"] if len(names) == 1 else [f"paper, {name}" for name in names]), "ours"]


def _line(outcome: Outcome, row: OutcomeRow) -> _Line:
    cells = []
    for metric in metrics(outcome):
        for data in data_sets(outcome):
            value = row.paper.get(data, {}).get(metric)
            cells.append(("theirs", "" if value is None else wording.percent(value)))
        ours = row.ours.get(metric)
        cells.append(("", "" if ours is None else wording.spread(ours)))
    cells += [("", text) for text in (*gain_cells(row), *share_cells(outcome, row))]
    full = row.method == "regions"
    return _Line(row.name, tuple(cells), others=row.method is None, full=full)
