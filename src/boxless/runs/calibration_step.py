"""Fit temperatures and thresholds of every variant and seed on held-out images; measure them."""

import json
import math
from pathlib import Path
from typing import Any, Final

import numpy as np

from boxless.data.manifest import Manifest
from boxless.files.seals import write_sealed
from boxless.metrics.calibration import Calibration, Fit, fit_calibration
from boxless.metrics.calibration_error import BINS, Reliability, reliability
from boxless.metrics.f1 import F1Report, f1_report
from boxless.metrics.inputs import known
from boxless.metrics.temperature import negative_log_likelihood
from boxless.runs.context import Run
from boxless.runs.evaluation import load_predictions, models, prediction_key
from boxless.runs.record import read_entries
from boxless.types import Float32Array, Float64Array

FILE_NAME: Final = "calibration.json"


def load_calibration(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """All that a finished step found: variant -> one entry per seed."""
    found: dict[str, list[dict[str, Any]]] = read_entries(
        folder / FILE_NAME, "temperatures", "thresholds"
    )["variants"]
    return found


def calibrate(run: Run, folder: Path) -> dict[str, Any]:
    """Write ``calibration.json``: variant -> one entry per seed.

    Everything is fitted on the held-out images; test images are only measured. Without held-out
    images temperatures are 1, thresholds 0.5 and ``fitted`` is false.
    """
    predictions = load_predictions(run.folder / "evaluate")
    found: dict[str, list[dict[str, Any]]] = {}
    for key, seeds in models(run.recipe).items():
        for seed in seeds:
            held_out = predictions.get(prediction_key(key, seed, "held_out"))
            test = predictions[prediction_key(key, seed)]
            found.setdefault(key, []).append({"seed": seed} | _entry(run, held_out, test))
    value = {"schema": 2, "variants": found}
    write_sealed(folder / FILE_NAME, json.dumps(value, indent=1).encode())
    return {"held_out_images": len(run.held_out) if run.held_out else 0}


def _entry(run: Run, held_out: Float32Array | None, test: Float32Array) -> dict[str, Any]:
    """What is fitted for one student, and what that changes."""
    fit = None
    if held_out is not None and run.held_out is not None:
        fit = fit_calibration(held_out, run.held_out.labels, seed=run.recipe.data.seed)
    found = fit.calibration if fit else Calibration.none(len(run.classes))
    measured: dict[str, Any] = {"test": figures(test, run.test, found), "held_out": None}
    if fit and held_out is not None and run.held_out is not None:
        measured["held_out"] = figures(held_out, run.held_out, found)
    return {
        "fitted": fit is not None,
        "temperatures": list(found.temperatures),
        "thresholds": list(found.thresholds),
        **_strengths(fit),
        **measured,
    }


def _strengths(fit: Fit | None) -> dict[str, float | None]:
    """How strongly classes were drawn together; None = infinitely, or nothing was fitted."""
    values = (fit.temperature_strength, fit.threshold_strength) if fit else (math.inf, math.inf)
    names = ("temperature_strength", "threshold_strength")
    return {n: v if math.isfinite(v) else None for n, v in zip(names, values, strict=True)}


def figures(probabilities: Float32Array, part: Manifest, found: Calibration) -> dict[str, Any]:
    """F1 and calibration of one student on a part of the images, before and after.

    Args:
        probabilities: (M, K) as the student gives them.
        part: The images.
        found: What was fitted.

    Returns:
        ``f1_c``, ``of1``, ``ece``, ``ece_equal_mass``, ``nll``: each ``{"before", "after"}``, F1
        before at 0.5 and after at the thresholds; and ``curve``, the same of the reliability curve.
        None where nothing can be computed.
    """
    tags = part.labels
    tables: dict[str, tuple[Float32Array | Float64Array, float | Float64Array]] = {
        "before": (probabilities, 0.5),
        "after": (found.apply(probabilities), np.array(found.thresholds)),
    }
    rows = {}
    for when, (values, threshold) in tables.items():
        report: F1Report = f1_report(values, tags, threshold=threshold)
        curve = reliability(values, tags)
        rows[when] = {
            "f1_c": known(report.f1_c),
            "of1": known(report.of1),
            "ece": known(curve.error),
            "ece_equal_mass": known(reliability(values, tags, kind="equal_mass").error),
            "nll": known(negative_log_likelihood(values, tags)),
            "curve": _curve(curve),
        }
    return {name: {when: row[name] for when, row in rows.items()} for name in rows["before"]}


def _curve(found: Reliability) -> dict[str, Any]:
    return {
        "bins": BINS,
        "predicted": found.predicted.tolist(),
        "observed": found.observed.tolist(),
        "count": found.count.tolist(),
    }
