"""The results table: its rows, and how the terminal shows it."""

from dataclasses import dataclass
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from boxless.methods.table import PLAIN
from boxless.report import wording
from boxless.report.results import TEACHER, Results
from boxless.report.variants import FITTED, Spread, VariantResult

METRIC_COLUMNS: Final = {"map": "mAP", "f1_c": "F1-C", "of1": "OF1"}
COLUMNS: Final = ("student or teacher", *METRIC_COLUMNS.values(), "input px", "parameters", "time")

_GAIN: Final = "gain"


@dataclass(frozen=True, slots=True)
class TableRow:
    """One line of the table.

    Attributes:
        key: Key of the variant, or ``gain``.
        cells: One text for each of `COLUMNS`.
    """

    key: str
    cells: tuple[str, ...]


def table_rows(results: Results) -> list[TableRow]:
    """The lines of the table: one for each variant and, where there is one, the gain.

    Returns:
        Rows in the order of the variants; metrics in percent as mean ± standard deviation over
        seeds, F1 as `at_fitted` says, time as the mean training time of one seed.
    """
    fitted = at_fitted(results)
    rows = [
        TableRow(
            key,
            (
                variant.label,
                *(wording.spread(_spread(variant, name, fitted)) for name in METRIC_COLUMNS),
                str(variant.input_size),
                wording.amount(variant.parameters),
                wording.duration(variant.seconds),
            ),
        )
        for key, variant in results.variants.items()
    ]
    if results.gain is not None:
        rows.append(TableRow(_GAIN, _gain_cells(results, fitted)))
    return rows


def at_fitted(results: Results) -> bool:
    """Whether F1-C and OF1 are shown at fitted thresholds: where all variants have some.

    Otherwise at 0.5, so that they always compare like with like. Probabilities of distilled
    students are smaller: at 0.5 they look worse than they are shipped.
    """
    return all(variant.fitted for variant in results.variants.values())


def _spread(variant: VariantResult, name: str, fitted: bool) -> Spread:
    return variant.fitted_spread(name) if fitted and name in FITTED else variant.spread(name)


def _gain_cells(results: Results, fitted: bool) -> tuple[str, ...]:
    before, after = results.variants[PLAIN], results.variants[results.method]
    differences = [
        wording.points(
            _difference(_spread(after, name, fitted).mean, _spread(before, name, fitted).mean)
        )
        for name in METRIC_COLUMNS
    ]
    if results.gain is not None:
        gain = results.gain.map
        differences[0] = (
            f"{wording.points(gain.mean)} "
            f"({wording.points(gain.low)} to {wording.points(gain.high)})"
        )
    return ("gain in points", *differences, "", "", "")


def _difference(after: float | None, before: float | None) -> float | None:
    return None if after is None or before is None else after - before


METHOD_COLUMNS: Final = ("method", "mAP", "gain in points", "interval", "seeds better", "updates")


def method_rows(results: Results) -> list[TableRow]:
    """Every student against the plain one, in the order of the variants.

    Returns:
        One row per student with one text for each of `METHOD_COLUMNS`, the plain one first; empty
        where the run compares nothing beside its own method.
    """
    if set(results.variants) <= {TEACHER, PLAIN, results.method}:
        return []
    rows = []
    for key, variant in results.variants.items():
        gain = results.gain_of(key)
        updates = f"{max(seed.updates for seed in variant.seeds):,}"
        if key == TEACHER:
            continue
        cells = (wording.NOTHING,) * 3
        if gain is not None:
            better = sum(value > 0 for value in gain.per_seed)
            cells = (
                wording.points(gain.map.mean),
                f"{wording.points(gain.map.low)} to {wording.points(gain.map.high)}",
                f"{better} of {len(gain.per_seed)}",
            )
        rows.append(
            TableRow(key, (variant.label, wording.spread(variant.spread("map")), *cells, updates))
        )
    return rows


def methods_table(results: Results) -> Table | None:
    """`method_rows` for the terminal; None where there are none."""
    rows = method_rows(results)
    if not rows:
        return None
    table = Table(
        title="each student against the plain one",
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column(METHOD_COLUMNS[0], overflow="fold")
    for name in METHOD_COLUMNS[1:]:
        heading = name.replace("gain in ", "gain in\n").replace("seeds ", "seeds\n")
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        style = "bold" if row.key == results.method else ""
        table.add_row(*(Text(cell) for cell in row.cells), style=style)
    return table


def table_notes(results: Results) -> str:
    """What the numbers of the table are, in one line."""
    seeds = {len(variant.seeds) for variant in results.variants.values()}
    spread = "one seed, no spread" if seeds == {1} else "mean ± standard deviation over seeds"
    notes = [f"% on {results.data.images.get('test', 0):,} test images", spread]
    if results.gain is not None:
        level = f"{100 * results.gain.map.level:g}"
        notes.append(f"with the gain its paired {level} % interval")
    notes.append(
        "F1-C and OF1 at the thresholds fitted on held-out images"
        if at_fitted(results)
        else "F1 at the threshold 0.5, none is fitted"
    )
    notes.append("time of training one seed")
    return "; ".join(notes)


def results_table(results: Results) -> Table:
    """The table for the terminal: metrics down, students across, so that it fits 80 columns.

    Returns:
        A table to print with rich: teacher, plain student, the run's own method and the gain; all
        else is in `methods_table`.
    """
    headings = {
        TEACHER: "teacher",
        PLAIN: "student\nwithout\ndistillation",
        results.method: "student\nwith\ndistillation",
        _GAIN: "gain in points",
    }
    table = Table(
        title=Text(f"{results.data.name}, recipe {results.recipe_name}"),
        title_justify="left",
        caption=table_notes(results),
        caption_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    rows = [row for row in table_rows(results) if row.key in headings]
    table.add_column("", no_wrap=True)
    for row in rows:
        style = "bold" if row.key in {_GAIN, results.method} else ""
        table.add_column(headings[row.key], justify="right", style=style, no_wrap=True)
    for index, name in enumerate(COLUMNS[1:], start=1):
        table.add_row(name, *(row.cells[index] for row in rows))
    return table
