"""A finished learning curve for people and programs: Markdown, CSV, plot, page and terminal."""

import csv
import io
from collections.abc import Callable, Mapping
from typing import Any, Final

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import NullLocator
from rich.table import Table

from boxless.experiments.learning_curve import Curve, Figure, Point
from boxless.experiments.rendering import markdown_table, rich_table
from boxless.methods.table import ORACLE, PLAIN
from boxless.report import svg, wording
from boxless.report.html import readable_time, render_page
from boxless.report.results import TEACHER, Results

_SHARE: Final = "% of the oracle's gain"
_STYLES: Final = {TEACHER: (svg.TEACHER, ":", "^"), PLAIN: (svg.BEFORE, "-", "s"),
                  ORACLE: (svg.OTHER, "--", "D")}  # fmt: skip


def columns(curve: Curve) -> list[str]:
    """Headings of the table."""
    oracle = [_SHARE] if ORACLE in curve.points[0].map else []
    return ["tags", *curve.points[0].map, "gain in points", "plain needs", *oracle]


def rows(curve: Curve) -> list[list[str]]:
    """One line of texts for each number of tags: mAP in %, gain in points, tags, share."""
    return [
        [
            f"{point.tags:,}",
            *(wording.percent(figure.value) for figure in point.map.values()),
            _spread(point.gain, wording.points),
            _needed(curve, point),
            *([_share(point)] if ORACLE in point.map else []),
        ]
        for point in curve.points
    ]


def _spread(figure: Figure, say: Callable[[float | None], str]) -> str:
    value, low, high = (say(part) for part in (figure.value, figure.low, figure.high))
    return value if value == low == high else f"{value} ({low} to {high})"


def _needed(curve: Curve, point: Point) -> str:
    return _spread(point.needed, lambda value: _tags(curve, value))


def _tags(curve: Curve, value: float | None) -> str:
    """A number of tags that may lie beyond those that were tried."""
    if value is None:
        return f"> {curve.points[-1].tags:,}"
    return f"≤ {value:,.0f}" if value <= curve.points[0].tags else f"{value:,.0f}"


def _share(point: Point) -> str:
    if point.share is None:
        return "unclear"
    return _spread(point.share, lambda value: f"{100 * (value or 0.0):.0f}")


def savings(curve: Curve) -> list[str]:
    """What distilling saves, a sentence for each number of tags."""
    told = []
    for point in curve.points:
        needed = point.needed.value
        plain = f"needs {_needed(curve, point)} tags for that"
        if needed is None:
            plain = f"needs more than the {curve.points[-1].tags:,} tags that were tried"
        text = (
            f"With {point.tags:,} tags the distilled student reaches"
            f" {wording.percent(point.map[curve.method].value)} % mAP; the plain one {plain}"
        )
        if needed is not None and needed > point.tags:
            text += f", so distilling saves {needed - point.tags:,.0f}"
        told.append(f"{text}.")
    return told


def notes(curve: Curve) -> str:
    """What the numbers are, and what their intervals cover."""
    runs = f"{curve.draws} draw{'s' * (curve.draws > 1)} of the tagged images"
    seeds = f"{len(curve.seeds)} seed{'s' * (len(curve.seeds) > 1)} of each"
    pool = f" and the images of {curve.untagged}" if curve.untagged else ""
    unclear = ORACLE in curve.points[0].map and any(point.share is None for point in curve.points)
    oracle = " Unclear: the oracle's own gain is not clear of zero." * unclear
    few = " With so few draws the intervals are rough." if curve.draws < 5 else ""
    return (
        f"{curve.data}, recipe {curve.recipe}, {curve.test_images:,} test images; mean over {runs},"
        f" {seeds}, with 95 % intervals paired over images, draws and seeds. The other training"
        f" images{pool} are untagged; held-out images come on top of the tags. Plain needs: tags"
        " with which the plain student's curve, linear over log(tags), reaches the distilled"
        f" student's mAP; beyond the numbers tried nothing is extrapolated.{oracle}{few}"
    )


def markdown(curve: Curve) -> str:
    """The table, what it saves, the plot and the notes."""
    lines = ["# mAP against the number of tags", ""]
    lines += markdown_table(columns(curve), rows(curve))
    lines += ["", *(f"- {line}" for line in savings(curve)), ""]
    return "\n".join([*lines, "![Learning curve](tags.svg)", "", notes(curve)]) + "\n"


def comma_separated(curve: Curve) -> str:
    """Every figure with its interval: fractions, numbers of tags; empty beyond those tried."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(("tags", "figure", "value", "low", "high"))
    for point in curve.points:
        figures = {f"map.{name}": figure for name, figure in point.map.items()}
        figures |= {"gain": point.gain, "needed": point.needed}
        figures |= {} if point.share is None else {"oracle_share": point.share}
        for name, found in figures.items():
            writer.writerow((point.tags, name, found.value, found.low, found.high))
    return file.getvalue()


def terminal_table(curve: Curve) -> Table:
    """The table to print with rich."""
    breaks = {"gain in points": "gain in\npoints", _SHARE: "% of the\noracle's\ngain"}
    heading = [breaks.get(name, name.replace("-", "-\n")) for name in columns(curve)]
    lines = [[c.replace(" (", "\n").removesuffix(")") for c in row] for row in rows(curve)]
    return rich_table("mAP in % against the number of tags", heading, lines)


def inline_plot(curve: Curve) -> str:
    """The plot as SVG for a page."""
    with svg.theme():
        return svg.inline_svg(
            _draw(curve, lambda marker: marker),
            name="curve",
            description="mAP against the number of tags",
        )


def standalone_plot(curve: Curve) -> str:
    """The plot as an SVG file of its own."""
    return inline_plot(curve).replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)


def picture(curve: Curve) -> bytes:
    """The plot as a PNG file."""
    buffer = io.BytesIO()
    with svg.theme(light=True):
        figure = _draw(curve, svg.colour)
        FigureCanvasAgg(figure)
        figure.savefig(
            buffer, format="png", dpi=130, facecolor="white", metadata={"Software": None}
        )
    return buffer.getvalue()


def _draw(curve: Curve, colour: Callable[[str], Any]) -> Drawing:
    """Lines with their intervals, and arrows from the distilled student to the tags it saves."""
    tags = [point.tags for point in curve.points]
    figure = svg.new_figure(8.6, 4.6)
    axes = figure.add_subplot()
    for name in curve.points[0].map:
        shade, line, marker = _STYLES.get(name, (svg.AFTER, "-", "o"))
        values, low, high = (
            [100 * (getattr(point.map[name], part) or 0.0) for point in curve.points]
            for part in ("value", "low", "high")
        )
        if name in (PLAIN, curve.method):
            axes.fill_between(tags, low, high, color=colour(shade), alpha=0.13, linewidth=0)
            if len(tags) == 1:  # a band of one point has no width
                axes.vlines(tags, low, high, color=colour(shade), linewidth=1.2)
        label = "distilled student" if name == curve.method else _label(name)
        style = {"color": colour(shade), "linestyle": line, "marker": marker}
        axes.plot(tags, values, **style, markersize=5.5, linewidth=1.9, label=label)
    for point in curve.points:
        needed, height = point.needed.value, 100 * (point.map[curve.method].value or 0.0)
        if needed is not None and needed > point.tags:
            arrow = {"arrowstyle": "->", "color": colour(svg.MUTED), "linewidth": 1.1}
            axes.annotate("", (needed, height), (point.tags, height), arrowprops=arrow)
            middle = (needed * point.tags) ** 0.5
            axes.annotate(
                f"saves {needed - point.tags:,.0f}", (middle, height), (0, -4),
                textcoords="offset points", ha="center", va="top", fontsize=8.5,
            )  # fmt: skip
    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(tags, [f"{count:,}" for count in tags])
    axes.set_xlabel("training images with tags, log scale")
    axes.set_ylabel("mAP in %, the axis does not start at 0")
    axes.legend(loc="lower right")
    return figure


def _label(name: str) -> str:
    return {PLAIN: "plain student", ORACLE: "oracle: true tags for all", TEACHER: "teacher"}[name]


def page(curve: Curve, runs: Mapping[str, Results]) -> str:
    """Plot, table and runs as one HTML page that loads nothing.

    Args:
        curve: The finished curve.
        runs: Folder of each run, relative to the page's -> its ``results.json``.
    """
    return render_page(
        "curve.html.j2",
        curve=curve,
        created=readable_time(curve.created),
        columns=columns(curve),
        rows=rows(curve),
        savings=savings(curve),
        notes=notes(curve),
        plot=inline_plot(curve),
        runs=runs,
    )
