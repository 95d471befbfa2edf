"""Plots of a whole run: mAP of the variants and learning curves, as inline SVG."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from boxless.methods.table import PLAIN
from boxless.report import svg
from boxless.report.results import TEACHER, Results
from boxless.report.wording import percent, spread
from boxless.types import Float64Array

COLOURS: Final = {PLAIN: svg.BEFORE, TEACHER: svg.TEACHER}


def colour_of(results: Results, key: str) -> str:
    """Colour of a variant: plain, the run's own method, the teacher, any other."""
    return svg.AFTER if key == results.method else COLOURS.get(key, svg.OTHER)


def map_per_variant(results: Results) -> str:
    """MAP of every variant, a dot a seed and a bar for the mean.

    Returns:
        SVG, one row a variant.
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
