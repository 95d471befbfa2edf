"""Join what the steps found into results.json and report.html."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from boxless import __version__
from boxless.methods.table import ORACLE, PLAIN
from boxless.metrics.bootstrap import paired_bootstrap
from boxless.report.html import TagsCurve, write_report
from boxless.report.results import SCHEMA, TEACHER, parse_results
from boxless.report.results import write_results as write_json
from boxless.runs.calibration_step import load_calibration
from boxless.runs.context import Run
from boxless.runs.environment import environment, torch_environment
from boxless.runs.evaluation import (
    load_predictions,
    load_summaries,
    seconds_of,
    stacked,
)
from boxless.runs.gallery import gallery_items, localization_items
from boxless.runs.location_step import load_localization
from boxless.runs.phases import MAPS, phases_of
from boxless.runs.record import entry_of, now, read_record
from boxless.runs.suspects import cards, cross_fitted, find_suspects
from boxless.runs.variant import by_key
from boxless.training.events import read_events
from boxless.types import Float32Array

SUSPECTS_SHOWN = 12


def write_results(run: Run, steps: Sequence[str]) -> dict[str, Any]:
    """Write ``results.json`` and ``report.html`` into the run folder."""
    found = load_summaries(run.folder / "evaluate")
    predictions = load_predictions(run.folder / "evaluate")
    gain = _gain(run, run.recipe.method, found, predictions)
    gains = {key: _gain(run, key, found, predictions) for key in run.recipe.distilling[1:]}
    results = parse_results(
        {
            "schema": SCHEMA,
            "boxless": __version__,
            "created": now(),
            "recipe": run.recipe.model_dump(mode="json"),
            "data": _data(run),
            "method": run.recipe.method,
            "variants": _variants(run, found),
            "gain": gain,
            "gains": gains,
            "oracle_share": _oracle_share(gain, gains),
            "shipped": _facts(run, "export").get("shipped"),
            "steps": _steps(run, steps),
            "environment": environment() | torch_environment(),
            "recall": _facts(run, "proposals").get("recall"),
            "localization": load_localization(run.folder / "locate")["summary"],
        }
    )
    write_json(run.folder / "results.json", results)
    report = write_report(
        run.folder,
        results,
        curves=_curves(run),
        gallery=gallery_items(run, results.shipped.seed if results.shipped else run.seeds[0]),
        localized=localization_items(run),
        suspects=cards(run, find_suspects(run, SUSPECTS_SHOWN)) if cross_fitted(run) else (),
        tags=_tags_curve(run),
    )
    return {"report": report.name}


def _data(run: Run) -> dict[str, Any]:
    held_out, untagged = run.held_out, len(run.pool) - len(run.train)
    return {
        "spec": run.spec,
        "name": run.manifest.name,
        "fingerprint": run.manifest.fingerprint,
        "classes": list(run.classes),
        "images": {
            "train": len(run.train),
            "held_out": len(held_out) if held_out else 0,
            "test": len(run.test),
            **({"untagged": untagged} if untagged else {}),
        },
        "train_positives": (run.train.labels == 1).sum(0).tolist(),
    }


def _variants(run: Run, found: dict[str, Any]) -> dict[str, Any]:
    """Teacher and students with all their seeds, in the order of tables."""
    recipe = run.recipe
    fitted = load_calibration(run.folder / "calibrate")
    located = load_localization(run.folder / "locate")["variants"]

    def entry(key: str, place: int, folders: list[str]) -> dict[str, Any]:
        own: dict[str, Any] = found["variants"][key][place]
        told = entry_of(fitted, key, own["seed"])
        return (
            own
            | {
                "updates": sum(_facts(run, folder).get("updates", 0) for folder in folders),
                "seconds": sum(seconds_of(run.folder / folder) for folder in folders),
                "calibration": {name: told[name] for name in told if name != "seed"} or None,
                "localization": entry_of(located, key, own["seed"]).get("figures"),
            }
            | (_teacher_maps(run, found) if key == TEACHER else {})
        )

    # What distillation costs beside the student: the maps and the cache too.
    shared = ["teacher", *(step for step in (MAPS, "cache") if (run.folder / step).exists())]
    rows = {
        TEACHER: {
            "label": "teacher (dropped after training)",
            "method": TEACHER,
            "input_size": recipe.teacher.input_size,
            "parameters": _facts(run, "teacher")["parameters"],
            "seeds": [entry(TEACHER, 0, shared)],
            "localization": found["localization"],
        }
    }
    for key, students in by_key(recipe).items():
        folders = [[phase.folder for phase in phases_of(recipe, one)] for one in students]
        own = {"label": f"student with distillation ({students[0].label})"}
        rows[key] = (
            students[0].about
            | (own if key == recipe.method else {})
            | {
                "parameters": _facts(run, students[0].folder)["parameters"],
                "seeds": [entry(key, place, steps) for place, steps in enumerate(folders)],
                "localization": None,
            }
        )
    return rows


def _teacher_maps(run: Run, found: dict[str, Any]) -> dict[str, float | None]:
    """The teacher's mAP on training images, seen and unseen, and a whole-image layer's."""
    fit, facts = found["teacher_fit"], _facts(run, "teacher")
    unseen = None if run.folds is None else fit["cross_fitted_train_map"]
    return {
        "train_map": fit["train_map"],
        "unseen_map": facts.get("unseen_map", unseen),
        "whole_image_map": facts.get("whole_image_map"),
    }


def _gain(
    run: Run, key: str, found: dict[str, Any], predictions: dict[str, Float32Array]
) -> dict[str, Any]:
    """What a method gains over the plain student, paired by image and seed."""

    def values(key: str) -> np.ndarray:
        rows = [entry["metrics"]["per_class_ap"] for entry in found["variants"][key]]
        return np.array(rows, dtype=float)

    own, plain = (stacked(run, predictions, one) for one in (key, PLAIN))
    interval = paired_bootstrap(own, plain, run.test.labels)
    difference = (values(key) - values(PLAIN)).mean(0)
    before, after = found["variants"][PLAIN], found["variants"][key]
    return {
        "map": asdict(interval),
        "per_seed": [
            b["metrics"]["map"] - a["metrics"]["map"] for a, b in zip(before, after, strict=True)
        ],
        "per_class": [None if np.isnan(d) else float(d) for d in difference],
    }


def _oracle_share(gain: dict[str, Any], gains: dict[str, dict[str, Any]]) -> float | None:
    """Part of the oracle's gain that the run's own method reaches; None where it gains nothing."""
    most = gains.get(ORACLE, {"map": {"mean": 0.0}})["map"]["mean"]
    return float(gain["map"]["mean"] / most) if most > 0 else None


def _steps(run: Run, steps: Sequence[str]) -> list[dict[str, Any]]:
    rows = []
    for name in steps:
        record = read_record(run.folder / name)
        if record is not None:
            row = {"name": name, "seconds": record.seconds, "status": record.status}
            rows.append(row | {"profile": record.facts.get("profile")})
    return rows


def _facts(run: Run, step: str) -> dict[str, Any]:
    record = read_record(run.folder / step)
    return record.facts if record else {}


def _curves(run: Run) -> dict[str, list[dict[str, float]]]:
    """Training events of the teacher and of every phase of the first seed's students."""
    folders = {"teacher": "teacher"}
    for students in by_key(run.recipe).values():
        for phase in phases_of(run.recipe, students[0]):
            name = phase.verb if phase.last else f"{phase.verb}, first phase"
            folders |= {name: phase.folder} if phase.variant.usual else {}
    found = {name: read_events(run.folder / folder) for name, folder in folders.items()}
    return {name: events for name, events in found.items() if events}


def _tags_curve(run: Run) -> TagsCurve | None:
    """The learning curve over numbers of tags that this run is a part of, once that is made."""
    folder = run.folder.resolve().parent.parent
    page, plot = folder / "tags.html", folder / "tags.svg"
    if run.folder.resolve().parent.name != "runs" or not (page.is_file() and plot.is_file()):
        return None
    return TagsCurve(plot.read_text("utf-8"), f"../../{page.name}")
