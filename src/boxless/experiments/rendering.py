"""A finished table as Markdown, CSV and LaTeX, and for the terminal."""

import csv
import io
from collections.abc import Sequence
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from boxless.experiments.object_size import SizeGain
from boxless.experiments.outcome import Order, Outcome, OutcomeRow
from boxless.report import wording
from boxless.report.tables import METRIC_COLUMNS

_LATEX: Final = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "±": r"$\pm$", wording.NOTHING: "--", "\N{MINUS SIGN}": "$-$",
}  # fmt: skip
_GAIN: Final = ("gain in\npoints", "95 % interval")
_ORDER_COLUMNS: Final = ("in the paper", "on", "paper", "ours", "interval", "here")


def columns(outcome: Outcome) -> tuple[str, ...]:
    """Headings: for each metric the paper's columns beside ours, then the gain and its interval."""
    names = ["row"]
    for metric in metrics(outcome):
        title = METRIC_COLUMNS[metric]
        names += [f"{title}, paper on {data}" for data in data_sets(outcome)]
        names.append(f"{title}, ours")
    return (*names, "gain in mAP points", "interval", *share_columns(outcome))


def cells(outcome: Outcome) -> list[tuple[str, ...]]:
    """One line of texts for each row, in percent and points; empty where there is no number."""
    return [
        (row.name, *_numbers(outcome, row), *gain_cells(row), *share_cells(outcome, row))
        for row in outcome.rows
    ]


def share_columns(outcome: Outcome) -> tuple[str, ...]:
    """Headings of the recovered share; none where a table has no ends."""
    if outcome.ends is None:
        return ()
    theirs = [f"recovered %, paper on {data}" for data in data_sets(outcome)]
    return (*theirs, "recovered %, ours", "its interval")


def share_cells(outcome: Outcome, row: OutcomeRow) -> list[str]:
    """A row's recovered share in percent beside the published, and its interval."""
    if outcome.ends is None:
        return []
    found = row.recovered
    if found is None:
        return [""] * len(share_columns(outcome))
    theirs = [_share(found.paper[d]) if d in found.paper else "" for d in data_sets(outcome)]
    if found.ours is None:
        return [*theirs, wording.NOTHING, ""]
    ends = f"{_share(found.ours.low)} to {_share(found.ours.high)}"
    return [*theirs, _share(found.ours.value), ends]


def _share(value: float | None) -> str:
    """A share in whole percent; it may be below 0 or above 100."""
    if value is None:
        return wording.NOTHING
    return f"{100 * value:.0f}".replace("-", "\N{MINUS SIGN}")


def metrics(outcome: Outcome) -> list[str]:
    """Metrics the paper has numbers for, in the order of tables."""
    found = {name for row in outcome.rows for numbers in row.paper.values() for name in numbers}
    return [name for name in METRIC_COLUMNS if name in found]


def data_sets(outcome: Outcome) -> list[str]:
    """Data sets the paper has numbers for."""
    return list(dict.fromkeys(data for row in outcome.rows for data in row.paper))


def _numbers(outcome: Outcome, row: OutcomeRow) -> list[str]:
    texts = []
    for metric in metrics(outcome):
        for data in data_sets(outcome):
            value = row.paper.get(data, {}).get(metric)
            texts.append("" if value is None else wording.percent(value))
        ours = row.ours.get(metric)
        texts.append("" if ours is None else wording.spread(ours))
    return texts


def gain_cells(row: OutcomeRow) -> tuple[str, str]:
    """A row's gain in points and its interval; empty where it has none."""
    if row.gain is None:
        return "", ""
    ends = f"{wording.points(row.gain.low)} to {wording.points(row.gain.high)}"
    return wording.points(row.gain.mean), ends


def _order_cells(order: Order) -> tuple[str, ...]:
    ends = f"{wording.points(order.ours.low)} to {wording.points(order.ours.high)}"
    claim = f"{order.lower} < {order.higher}"
    numbers = (wording.points(order.paper), wording.points(order.ours.mean), ends)
    return (claim, order.data, *numbers, order.verdict)


def verdicts(outcome: Outcome) -> str:
    """How many of the paper's orderings hold, in a sentence."""
    total = len(outcome.orders)
    counts = {
        name: sum(order.verdict == name for order in outcome.orders)
        for name in ("holds", "does not hold", "within noise")
    }
    return (
        f"Of the {total} published orderings by mAP {counts['holds']} hold here,"
        f" {counts['does not hold']} do not, {counts['within noise']} are within noise."
    )


def notes(outcome: Outcome) -> str:
    """What the numbers are and where they are from."""
    seeds = len(outcome.seeds)
    spread = (
        "one seed: how much training itself scatters was not measured"
        if seeds == 1
        else f"mean ± standard deviation over {seeds} seeds"
    )
    teacher = any(row.method == "teacher" for row in outcome.rows)
    once = " The teacher is trained once and stands beside each seed." if teacher else ""
    made = f"{outcome.data}, recipe {outcome.recipe}, {outcome.test_images:,} test images"
    said = f" {outcome.notes}" if outcome.notes else ""
    if outcome.ends is not None:
        said += (
            f" Recovered: share of the mAP lost from {outcome.ends.high!r} to {outcome.ends.low!r}"
            f"; {wording.NOTHING} where that loss is not clear of zero."
        )
    return (
        f"Ours: {made}, in percent; {spread}. Gain: over the plain student of the same run, with"
        f" the paired 95 % interval over images{' and seeds' if seeds > 1 else ''}.{once} Paper:"
        f" {outcome.source}.{said}"
    )


def markdown(outcome: Outcome) -> str:
    """The table, its notes and the orderings."""
    lines = [f"# {outcome.table}: {outcome.title}", ""]
    lines += markdown_table(columns(outcome), cells(outcome))
    lines += ["", notes(outcome), "", "## The published orderings", "", verdicts(outcome), ""]
    lines += markdown_table(_ORDER_COLUMNS, [_order_cells(order) for order in outcome.orders])
    return "\n".join(lines) + "\n"


def markdown_table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table: texts to the left, all other columns to the right."""
    rule = ["---"] + ["---:"] * (len(heading) - 1)
    quoted = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return ["| " + " | ".join(line) + " |" for line in (heading, rule, *quoted)]


def sizes_markdown(gains: Sequence[SizeGain]) -> str:
    """Gain by object size, as a section of its own; empty where it was not measured."""
    if not gains:
        return ""
    heading = ("largest object of the class", "share of the image", "pairs", "gain", "interval")
    rows = [
        (
            size.name,
            f"{100 * size.least:.1f} to {100 * size.most:.1f} %",
            f"{size.pairs:,}",
            wording.points(size.gain.mean),
            f"{wording.points(size.gain.low)} to {wording.points(size.gain.high)}",
        )
        for size in gains
    ]
    lines = ["", "## Gain by object size", "", *markdown_table(heading, rows), ""]
    return "\n".join([*lines, "True boxes serve this measurement alone."]) + "\n"


def latex(outcome: Outcome) -> str:
    """The table as a LaTeX ``tabular``; needs no package."""
    heading = columns(outcome)
    lines = [f"% {outcome.table}: {line}" for line in (outcome.title, notes(outcome))]
    lines.append(rf"\begin{{tabular}}{{l{'r' * (len(heading) - 1)}}}")
    lines.append(r"\hline")
    for number, row in enumerate((heading, *cells(outcome))):
        lines.append(" & ".join(_escaped(cell) for cell in row) + r" \\")
        if number == 0:
            lines.append(r"\hline")
    return "\n".join([*lines, r"\hline", r"\end{tabular}"]) + "\n"


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in text)


def comma_separated(outcome: Outcome) -> str:
    """The table for other programs: fractions, not rounded for people."""
    names, sets = metrics(outcome), data_sets(outcome)
    heading = ["row", "method", "run"]
    for metric in names:
        heading += [f"paper.{data}.{metric}" for data in sets]
        heading += [f"{metric}.{part}" for part in ("mean", "std", "n")]
    heading += ["gain.mean", "gain.low", "gain.high", "gain.probability_positive"]
    if outcome.ends is not None:
        heading += [f"paper.{data}.recovered" for data in sets]
        heading += [f"recovered.{part}" for part in ("value", "low", "high")]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(heading)
    for row in outcome.rows:
        values: list[object] = [row.name, row.method, row.run]
        for metric in names:
            values += [row.paper.get(data, {}).get(metric) for data in sets]
            ours = row.ours.get(metric)
            values += [None] * 3 if ours is None else [ours.mean, ours.std, ours.n]
        gain = row.gain
        parts = ("mean", "low", "high", "probability_positive")
        values += [None if gain is None else getattr(gain, part) for part in parts]
        if outcome.ends is not None:
            shares = row.recovered
            values += [shares.paper.get(data) if shares else None for data in sets]
            own = shares.ours if shares else None
            values += [getattr(own, part) if own else None for part in ("value", "low", "high")]
        writer.writerow(values)
    return file.getvalue()


def terminal_table(outcome: Outcome) -> Table:
    """The table to print with rich: mAP alone, so that it fits 80 columns."""
    heading = ["row", *(f"paper\n{data}" for data in data_sets(outcome)), "ours", *_GAIN]
    width = len(heading) - len(_GAIN)
    rows = [
        [*line[:width], *gain_cells(row), *share_cells(outcome, row)[-2:]]
        for row, line in zip(outcome.rows, cells(outcome), strict=True)
    ]
    if outcome.ends is not None:
        heading += ["recovered\n%", "interval"]
    return rich_table(f"{outcome.table}: {outcome.title}, mAP in %", heading, rows)


def terminal_orders(outcome: Outcome) -> Table:
    """The orderings to print with rich."""
    rows = [_order_cells(order) for order in outcome.orders]
    return rich_table(verdicts(outcome), _ORDER_COLUMNS, rows)


def rich_table(title: str, heading: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A table to print: names on as many lines as they need, numbers on one."""
    table = Table(
        title=Text(title),
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for place, name in enumerate(heading):
        if place:
            table.add_column(name, justify="right", no_wrap=True)
        else:
            longest = max(len(word) for row in (heading, *rows) for word in row[0].split())
            table.add_column(name, overflow="fold", min_width=longest)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table
