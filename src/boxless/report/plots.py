"""Plots of a run as inline SVG: mAP of the variants, learning curves, one mark per class."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from boxless.methods.table import PLAIN
from boxless.report import svg
from boxless.report.results import TEACHER, Results
from boxless.report.wording import percent, points, spread
from boxless.types import Float64Array

COLOURS: Final = {PLAIN: svg.BEFORE, TEACHER: svg.TEACHER}


def colour_of(results: Results, key: str) -> str:
    """Colour of a variant: plain, the run's own method, the teacher, any other."""
    return svg.AFTER if key == results.method else COLOURS.get(key, svg.OTHER)


def map_per_variant(results: Results) -> str:
    """MAP of every variant, a dot per seed and a bar for the mean.

    Returns:
        SVG, one row per variant.
    """
    variants = list(results.variants.items())
    with svg.theme():
        figure = svg.new_figure(svg.NARROW, 0.7 + 0.5 * len(variants))
        axes = figure.add_subplot()
        tooltips = {}
        for row, (key, variant) in enumerate(variants):
            colour = colour_of(results, key)
            values = [100 * value for value in variant.values("map")]
            mean = float(np.mean(values))
            axes.plot([mean, mean], [row - 0.32, row + 0.32], color=colour, linewidth=3)
            shift = np.linspace(-0.14, 0.14, len(values)) if len(values) > 1 else [0.0]
            dots = axes.plot(values, row + np.asarray(shift), "o", color=colour, markersize=6)
            dots[0].set(gid=f"variant-{row}", alpha=0.75, markeredgecolor=svg.PAPER)
            tooltips[f"variant-{row}"] = f"{variant.label}: {spread(variant.spread('map'))} %"
            axes.annotate(
                percent(mean / 100), (mean, row - 0.32), xytext=(0, 2),
                textcoords="offset points", ha="center", va="bottom",
            )  # fmt: skip
        axes.set_yticks(range(len(variants)), [svg.folded(one.label) for _, one in variants])
        axes.tick_params(axis="y", labelcolor=svg.INK)
        axes.set_ylim(len(variants) - 0.5, -0.75)
        axes.margins(x=0.12)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(
            "mAP in %, a dot per seed, a line at the mean\n(the axis does not start at 0)"
        )
        return svg.inline_svg(
            figure,
            name="variants",
            description="mAP of each variant and seed",
            tooltips=tooltips,
        )


def learning_curves(curves: Mapping[str, Sequence[Mapping[str, Any]]]) -> str | None:
    """Loss by update, one drawing for each training.

    Args:
        curves: Events by name; each event has at least ``update`` and ``loss``. Names
            ``NAME/ANYTHING`` share the panel NAME, so seeds can be laid over each other.

    Returns:
        SVGs with the raw loss faint and its moving mean strong; None without any event.
    """
    panels: dict[str, list[Sequence[Mapping[str, Any]]]] = {}
    for name, events in curves.items():
        usable = [event for event in events if _finite(event)]
        if usable:
            panels.setdefault(name.partition("/")[0], []).append(usable)
    if not panels:
        return None
    return "".join(_panel(place, *panel) for place, panel in enumerate(panels.items()))


def _panel(place: int, name: str, runs: Sequence[Sequence[Mapping[str, Any]]]) -> str:
    """Losses of one training, or of several of the same."""
    with svg.theme():
        figure = svg.new_figure(3.3, 2.4)
        axes = figure.add_subplot()
        colour = COLOURS.get(name, svg.AFTER)
        for events in runs:
            updates = np.array([event["update"] for event in events], np.float64)
            losses = np.array([event["loss"] for event in events], np.float64)
            axes.plot(updates, losses, color=colour, linewidth=0.7, alpha=0.3)
            axes.plot(updates, moving_mean(losses), color=colour, linewidth=1.7)
        axes.set_title(svg.folded(name))
        axes.set_xlabel("update")
        axes.set_ylabel("loss")
        return svg.inline_svg(
            figure, name=f"curves-{place}", description=f"Training loss of {name}"
        )


def _finite(event: Mapping[str, Any]) -> bool:
    return all(
        isinstance(event.get(key), int | float) and np.isfinite(event[key])
        for key in ("update", "loss")
    )


def moving_mean(values: Float64Array) -> Float64Array:
    """Centred moving mean over about a fifteenth of the values; the ends use what is there.

    Returns:
        As many values.
    """
    half = max(1, len(values) // 30)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    low = np.maximum(np.arange(len(values)) - half, 0)
    high = np.minimum(np.arange(len(values)) + half + 1, len(values))
    return np.asarray((sums[high] - sums[low]) / (high - low), np.float64)


_COLUMNS_FROM: Final = 30  # classes from which the dumbbell plot takes two columns

_SKEW: Final = 15  # most frequent over median class from which frequency is drawn logarithmically


def by_frequency(results: Results) -> list[int]:
    """Class indices, most frequent in training first; equal counts keep their order."""
    return [int(i) for i in np.argsort(-np.array(results.data.train_positives), kind="stable")]


def seed_gains(results: Results) -> list[list[float]]:
    """Per-class AP differences of every seed that both students have.

    Returns:
        K lists of fractions, distilled minus baseline; empty for a class without positives.
    """
    before = {seed.seed: seed.metrics.per_class_ap for seed in results.variants[PLAIN].seeds}
    gains: list[list[float]] = [[] for _ in results.data.classes]
    for seed in results.variants[results.method].seeds:
        for k, value in enumerate(seed.metrics.per_class_ap):
            other = before.get(seed.seed, (None,) * len(gains))[k]
            if value is not None and other is not None:
                gains[k].append(value - other)
    return gains


def gain_per_class(results: Results) -> str | None:
    """Gain of AP of every class, classes sorted by training frequency (the paper's figure 4).

    Returns:
        SVG: a bar per class with the seeds' range, the training frequency as a line on the second
        axis, the mean over classes as a dashed line; None where the run has no gain.
    """
    if results.gain is None:
        return None
    order = [k for k in by_frequency(results) if results.gain.per_class[k] is not None]
    values = 100 * np.array([results.gain.per_class[k] for k in order], np.float64)
    counts = [results.data.train_positives[k] for k in order]
    names = [results.data.classes[k] for k in order]
    at = np.arange(len(order))
    with svg.theme():
        figure = svg.new_figure(_width(len(order)), 4.6)
        axes = figure.add_subplot()
        colours = [svg.AFTER if value >= 0 else svg.WORSE for value in values]
        bars = axes.bar(at, values, width=0.72, color=colours)
        tooltips = {}
        for k, bar, value, count in zip(order, bars, values, counts, strict=True):
            bar.set_gid(f"class-{k}")
            tip = f"{results.data.classes[k]}: {points(value / 100)} points, {count:,} images"
            tooltips[f"class-{k}"] = tip
        scatter = seed_gains(results)
        for x, k in zip(at, order, strict=True):
            if len(scatter[k]) > 1:
                low, high = 100 * min(scatter[k]), 100 * max(scatter[k])
                axes.vlines(x, low, high, color=svg.INK, linewidth=1.0)
        axes.axhline(0, color=svg.MUTED, linewidth=0.8)
        if values.size:
            axes.axhline(values.mean(), color=svg.INK, linewidth=1.1, linestyle=(0, (4, 3)))
        axes.set_xticks(at, [svg.label(name) for name in names], rotation=90)
        axes.grid(visible=False, axis="x")
        axes.margins(x=0.01)
        axes.set_ylabel("gain of AP in points")
        _frequency_line(axes, at, counts)
        return svg.inline_svg(
            figure,
            name="gain",
            description=f"Gain of average precision of {len(order)} classes by training frequency",
            tooltips=tooltips,
        )


def _width(classes: int) -> float:
    """Inches of a plot with a bar per class: a page's width for 26 to 60 of them."""
    return max(0.15 * classes + 1.2, min(10.4, max(svg.NARROW, 0.36 * classes + 1.2)))


def _frequency_line(axes: Any, at: Any, counts: Sequence[int]) -> None:
    right = axes.twinx()
    right.plot(at, counts, color=svg.TEACHER, linewidth=1.4, marker="o", markersize=2.4)
    right.set_ylabel("training images", color=svg.TEACHER)
    right.tick_params(axis="y", labelcolor=svg.TEACHER)
    if counts and max(counts) > _SKEW * max(float(np.median(counts)), 1.0):
        right.set_yscale("symlog", linthresh=10, linscale=0.5)
        right.yaxis.set_major_formatter("{x:,.0f}")
    right.set_ylim(0, max([*counts, 1]) * 1.12)
    right.grid(visible=False)


def dumbbell(results: Results) -> str | None:
    """AP of every class without and with distillation.

    Returns:
        SVG, one row per class, best distilled AP first, in two columns from 30 classes on; None
        where one of the two students is missing.
    """
    if PLAIN not in results.variants or results.method not in results.variants:
        return None
    before = results.variants[PLAIN].per_class_ap()
    after = results.variants[results.method].per_class_ap()
    rows = [
        (name, 100 * old, 100 * new)
        for name, old, new in zip(results.data.classes, before, after, strict=True)
        if old is not None and new is not None
    ]
    rows.sort(key=lambda row: -row[2])
    columns = 2 if len(rows) >= _COLUMNS_FROM else 1
    height = -(-len(rows) // columns)
    low = min((min(old, new) for _, old, new in rows), default=0.0)
    with svg.theme():
        figure = svg.new_figure(10.4 if columns == 2 else svg.NARROW, 0.7 + 0.215 * height)
        tooltips: dict[str, str] = {}
        for column in range(columns):
            axes = figure.add_subplot(1, columns, column + 1)
            part = rows[column * height : (column + 1) * height]
            tooltips |= _dumbbell_column(axes, part, height, column)
            axes.set_xlim(max(0.0, low - 4), 101.5)
        return svg.inline_svg(
            figure,
            name="classes",
            description=f"AP of {len(rows)} classes without and with distillation",
            tooltips=tooltips,
        )


def _dumbbell_column(
    axes: Any, rows: Sequence[tuple[str, float, float]], height: int, column: int
) -> dict[str, str]:
    tips = {}
    for y, (name, old, new) in enumerate(rows):
        colour = svg.AFTER if new >= old else svg.WORSE
        (line,) = axes.plot([old, new], [y, y], color=colour, linewidth=2.2, alpha=0.45)
        line.set_gid(f"row-{column}-{y}")
        tips[f"row-{column}-{y}"] = (
            f"{name}: {old:.1f} % to {new:.1f} %, {points((new - old) / 100)} points"
        )
    at = range(len(rows))
    axes.plot([row[1] for row in rows], at, "o", color=svg.BEFORE, markersize=5)
    axes.plot([row[2] for row in rows], at, "D", color=svg.AFTER, markersize=5)
    axes.set_yticks(at, [svg.label(row[0]) for row in rows])
    axes.tick_params(axis="y", labelcolor=svg.INK, length=0)
    axes.set_ylim(height - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("AP in %")
    return tips
