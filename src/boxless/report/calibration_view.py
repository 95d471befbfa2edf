"""Thresholds, calibration and localization: tables and the reliability plot."""

from collections.abc import Callable
from typing import Final

import numpy as np

from boxless.methods.table import PLAIN
from boxless.report import svg
from boxless.report.part import BeforeAfter, CalibrationFigures, Curve
from boxless.report.plots import colour_of
from boxless.report.results import TEACHER, Results
from boxless.report.tables import TableRow
from boxless.report.variants import Spread, VariantResult, mean_or_none
from boxless.report.wording import NOTHING, percent, spread

CALIBRATION_COLUMNS: Final = (
    "model",
    "F1-C at 0.5",
    "F1-C tuned",
    "OF1 at 0.5",
    "OF1 tuned",
    "ECE before",
    "ECE after",
    "log loss before",
    "log loss after",
)
LOCALIZATION_COLUMNS: Final = (
    "model",
    "pointing game",
    "with tolerance",
    "CorLoc",
    "AP at IoU 0.5",
)

Figure = Callable[[CalibrationFigures], BeforeAfter]
_FIGURES: Final[tuple[tuple[Figure, bool], ...]] = (
    (lambda found: found.f1_c, True),
    (lambda found: found.of1, True),
    (lambda found: found.ece, True),
    (lambda found: found.nll, False),
)


def calibration_rows(results: Results) -> list[TableRow]:
    """One row per variant with one text for each of `CALIBRATION_COLUMNS`.

    Returns:
        Means over seeds on test images, with their spread, in percent (log loss in nats); empty
        where nothing was fitted.
    """
    rows = []
    for key, variant in results.variants.items():
        fits = [seed.calibration for seed in variant.seeds]
        found = [fit.test for fit in fits if fit is not None and fit.fitted]
        if not found:
            continue
        cells = []
        for pick, in_percent in _FIGURES:
            pairs = [pick(figures) for figures in found]
            cells += [
                spread(Spread.of(values)) if in_percent else _nats(values)
                for values in ([p.before for p in pairs], [p.after for p in pairs])
            ]
        rows.append(TableRow(key, (variant.label, *cells)))
    return rows


def _nats(values: list[float | None]) -> str:
    found = mean_or_none(values)
    return NOTHING if found is None else f"{found:.3f}"


def localization_rows(results: Results) -> list[TableRow]:
    """One row per variant, a text for each of `LOCALIZATION_COLUMNS`; empty if not measured."""
    if results.localization is None:
        return []
    rows = []
    for key, variant in results.variants.items():
        found = [seed.localization for seed in variant.seeds if seed.localization is not None]
        if not found:
            continue
        cells = [
            spread(Spread.of([getattr(one, name) for one in found]))
            for name in ("pointing", "pointing_tolerant", "corloc", "detection_map")
        ]
        rows.append(TableRow(key, (variant.label, *cells)))
    centre, whole = results.localization.centre_pointing, results.localization.whole_image_corloc
    cells = [percent(centre), NOTHING, percent(whole), NOTHING]
    rows.append(TableRow("", ("middle of the image, or all of it", *cells)))
    return rows


def reliability_plot(results: Results) -> str | None:
    """Reliability of both students and the teacher, before and after calibration.

    Returns:
        SVGs: share of positives against mean probability, one per variant, first seed;
        None where nothing was fitted.
    """
    shown = (key for key in (TEACHER, PLAIN, results.method) if key in results.variants)
    plots = (_reliability(key, results.variants[key], colour_of(results, key)) for key in shown)
    return "".join(plots) or None


def _reliability(key: str, variant: VariantResult, colour: str) -> str:
    """Curves of a variant's first seed, before and after; empty where nothing was fitted."""
    found = variant.seeds[0].calibration
    if found is None or not found.fitted:
        return ""
    with svg.theme():
        figure = svg.new_figure(3.3, 3.5)
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=svg.MUTED, linewidth=1, linestyle=(0, (4, 3)))
        curves: tuple[tuple[Curve, float, str], ...] = (
            (found.test.curve.before, 0.45, "o:"),
            (found.test.curve.after, 1.0, "o-"),
        )
        for curve, alpha, style in curves:
            points = np.array(curve.predicted), np.array(curve.observed)
            axes.plot(*points, style, color=colour, alpha=alpha, markersize=4, clip_on=False)
        axes.set_title(svg.folded(variant.label, width=34))
        axes.set(xlim=(0, 1), ylim=(0, 1))
        axes.set_xlabel("mean probability")
        axes.set_ylabel("share that is present")
        return svg.inline_svg(
            figure,
            name=f"reliability-{key}",
            description=f"{variant.label}: share of present labels against probability",
        )
