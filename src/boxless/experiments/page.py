"""A finished table as one HTML page that loads nothing, with its orderings as a plot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from boxless.experiments.object_size import SizeGain
from boxless.experiments.outcome import Order, Outcome, OutcomeRow, Verdict
from boxless.experiments.rendering import (
    data_sets,
    gain_cells,
    metrics,
    notes,
    share_cells,
    share_columns,
    verdicts,
)
from boxless.report import svg, wording
from boxless.report.html import readable_time, render_page
from boxless.report.plots import gain_per_class
from boxless.report.results import Results
from boxless.report.tables import METRIC_COLUMNS
from boxless.report.wording import points

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


_COLOURS: Final[dict[Verdict, str]] = {
    "holds": svg.AFTER, "does not hold": svg.WORSE, "within noise": svg.BEFORE
}  # fmt: skip
_LONGEST: Final = 38


def order_plot(orders: Sequence[Order]) -> str | None:
    """Draw every ordering as a line, in the table's order.

    Returns:
        SVG: the interval and mean of our difference, coloured by verdict, the paper's difference
        as a hollow diamond; None where there is no ordering.
    """
    if not orders:
        return None
    several = len({order.data for order in orders}) > 1
    with svg.theme():
        figure = svg.new_figure(10.4, 0.75 + 0.46 * len(orders))
        axes = figure.add_subplot()
        tooltips = {}
        for row, order in enumerate(orders):
            colour, ours = _COLOURS[order.verdict], order.ours
            ends = [100 * ours.low, 100 * ours.high]
            (line,) = axes.plot(ends, [row, row], color=colour, linewidth=5, alpha=0.5)
            line.set_gid(f"order-{row}")
            axes.plot(100 * ours.mean, row, "o", color=colour, markersize=7)
            axes.plot(100 * order.paper, row, "D", color="none", markersize=6,
                      markeredgecolor=svg.INK, markeredgewidth=1.4)  # fmt: skip
            tooltips[f"order-{row}"] = (
                f"{order.lower} < {order.higher}: ours {points(ours.mean)}"
                f" ({points(ours.low)} to {points(ours.high)}), paper {points(order.paper)}"
            )
        axes.axvline(0, color=svg.MUTED, linewidth=1.2, linestyle=(0, (4, 3)))
        axes.set_yticks(range(len(orders)), [_name(order, several=several) for order in orders])
        axes.tick_params(axis="y", labelcolor=svg.INK, length=0)
        axes.set_ylim(len(orders) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("difference of mAP in points, second row minus first")
        return svg.inline_svg(
            figure,
            name="orders",
            description=f"{len(orders)} orderings of the paper and our differences",
            tooltips=tooltips,
        )


def _name(order: Order, *, several: bool) -> str:
    rows = [svg.label(name, longest=_LONGEST) for name in (order.lower, order.higher)]
    data = f" ({order.data})" if several else ""
    return f"{rows[0]}\n< {rows[1]}{data}"
