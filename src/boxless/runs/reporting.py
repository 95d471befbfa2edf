"""Join what the steps found into results.json and report.html."""

from pathlib import Path
from typing import Any

import numpy as np

from boxless import __version__
from boxless.metrics.bootstrap import Interval, paired_bootstrap
from boxless.metrics.calibration import load_entries
from boxless.runs.computing import measured_for
from boxless.runs.context import Run
from boxless.runs.environment import environment, torch_environment
from boxless.runs.evaluation import (
    arm_folders,
    load_predictions,
    load_regions,
    load_summaries,
    seconds_of,
)
from boxless.runs.location_step import load_looking
from boxless.runs.looking_gallery import looking_items
from boxless.runs.methods import (
    compared,
    first_folder,
    own_method,
    same_as_own,
    student_folder,
)
from boxless.runs.plan import plan
from boxless.runs.record import now, read_record
from boxless.report.gallery import GalleryItem
from boxless.report.html import write_report
from boxless.report.results import parse_results
from boxless.report.results import write_results as write_json
from boxless.training.events import read_events
from boxless.types import Float32Array, Int8Array

GALLERY = 12
SHOWN_LABELS = 5


def write_results(run: Run, folder: Path) -> dict[str, Any]:
    """Write ``results.json`` and ``report.html`` into the run folder."""
    del folder  # both belong to the run, not to the step
    found = load_summaries(run.folder / "evaluate")
    predictions = load_predictions(run.folder / "evaluate")
    timed = measured_for(run)
    results = parse_results(
        {
            "schema": 1,
            "boxless": __version__,
            "created": now(),
            "recipe": run.recipe.model_dump(mode="json"),
            "data": _data(run),
            "arms": _arms(run, found),
            "gain": _gain(run, "distilled", found, predictions),
            "gains": {arm: _gain(run, arm, found, predictions) for arm in compared(run.recipe)},
            "steps": _steps(run),
            "environment": environment() | torch_environment(),
            "computing": None if timed is None else timed.model_dump(),
            "recall": _facts(run, "proposals").get("recall"),
            "looking": load_looking(run.folder / "locate")["summary"],
        }
    )
    write_json(run.folder / "results.json", results)
    report = write_report(
        run.folder,
        results,
        curves=_curves(run),
        gallery=_gallery(run, predictions),
        looks=looking_items(run),
    )
    return {"report": report.name}


def _data(run: Run) -> dict[str, Any]:
    held_out = run.held_out
    return {
        "spec": run.spec,
        "name": run.manifest.name,
        "fingerprint": run.manifest.fingerprint,
        "classes": list(run.classes),
        "images": {
            "train": len(run.train),
            "held_out": len(held_out) if held_out else 0,
            "test": len(run.test),
        },
        "train_positives": (run.train.labels == 1).sum(0).tolist(),
    }


def _arms(run: Run, found: dict[str, Any]) -> dict[str, Any]:
    folders = arm_folders(run)
    labels = _labels(run)
    size = run.recipe.student.input_size
    fitted = load_entries(run.folder / "calibrate")
    located = load_looking(run.folder / "locate")["arms"]
    arms: dict[str, Any] = {}
    for arm, entries in found["arms"].items():
        steps = folders.get(arm, [run.folder / "teacher"])
        for entry, step in zip(entries, steps, strict=True):
            record = read_record(step)
            facts = record.facts if record else {}
            entry |= {"updates": facts.get("updates", 0), "seconds": seconds_of(step)}
            entry["calibration"] = _of_seed(fitted, arm, entry["seed"])
            entry["looking"] = (_of_seed(located, arm, entry["seed"]) or {}).get("figures")
            entry["train_map"] = None
            if arm == "teacher":
                entry["train_map"] = found["teacher_fit"]["train_map"]
                # What distillation costs beside the student: the maps and the cache too.
                entry["seconds"] += seconds_of(run.folder / "maps")
                entry["seconds"] += seconds_of(run.folder / "cache")
            first = _first_phase(run, arm, entry["seed"])
            if first is not None:
                entry["updates"] += _facts(run, first)["updates"]
                entry["seconds"] += seconds_of(run.folder / first)
        other = arm.partition("@")[2]
        input_size = run.recipe.teacher.input_size if arm == "teacher" else int(other or size)
        arms[arm] = {
            "label": labels.get(arm, f"student without distillation at {other} px"),
            "input_size": input_size,
            "parameters": _facts(run, str(steps[0].relative_to(run.folder)))["parameters"],
            "seeds": entries,
            "localization": found["localization"] if arm == "teacher" else None,
        }
    plain = sorted(a for a in arms if a.startswith("baseline"))
    order = ["teacher", *plain, *compared(run.recipe), "distilled"]
    return {arm: arms[arm] for arm in order if arm in arms}


def _of_seed(arms: dict[str, list[dict[str, Any]]], arm: str, seed: int) -> dict[str, Any] | None:
    """What a step found for one training run, without its seed; None where it found nothing."""
    for entry in arms.get(arm, ()):
        if entry["seed"] == seed:
            return {key: value for key, value in entry.items() if key != "seed"}
    return None


def _labels(run: Run) -> dict[str, str]:
    """Names of the arms for people."""
    same = "".join(f" (= {name})" for name in same_as_own(run.recipe))
    return {
        "teacher": "teacher (detector, thrown away)",
        "baseline": "student without distillation",
        "distilled": f"student with distillation{same}",
    } | {name: method.label for name, method in compared(run.recipe).items()}


def _first_phase(run: Run, arm: str, seed: int) -> str | None:
    """Name of the step that transferred features before an arm's student saw tags."""
    methods = compared(run.recipe) | {"distilled": own_method(run.recipe)}
    return first_folder(run.recipe, methods[arm], seed) if arm in methods else None


def _gain(
    run: Run, arm: str, found: dict[str, Any], predictions: dict[str, Float32Array]
) -> dict[str, Any]:
    """What an arm gains over the plain student, paired by image and seed."""

    def stacked(arm: str) -> Float32Array:
        return np.stack([predictions[f"{arm}.{seed}.test"] for seed in run.seeds])

    def values(arm: str) -> np.ndarray:
        rows = [entry["metrics"]["per_class_ap"] for entry in found["arms"][arm]]
        return np.array(rows, dtype=float)

    interval: Interval = paired_bootstrap(stacked(arm), stacked("baseline"), run.test.labels)
    difference = (values(arm) - values("baseline")).mean(0)
    before, after = found["arms"]["baseline"], found["arms"][arm]
    return {
        "map": {name: getattr(interval, name) for name in Interval.__slots__},
        "per_seed": [
            b["metrics"]["map"] - a["metrics"]["map"] for a, b in zip(before, after, strict=True)
        ],
        "per_class": [None if np.isnan(d) else float(d) for d in difference],
    }


def _steps(run: Run) -> list[dict[str, Any]]:
    rows = []
    for step in plan(run):
        record = read_record(run.folder / step.name)
        if record is not None and step.verb != "report":
            row = {"name": step.name, "seconds": record.seconds, "status": record.status}
            rows.append(row | {"profile": record.facts.get("profile")})
    return rows


def _facts(run: Run, step: str) -> dict[str, Any]:
    record = read_record(run.folder / step)
    return record.facts if record else {}


def _curves(run: Run) -> dict[str, list[dict[str, float]]]:
    """Training events of the teacher and of the first seed of each student step."""
    first = run.seeds[0]
    folders = {"teacher": "teacher", "baseline": f"baseline/seed-{first}"}
    folders |= {"stage 1": f"stage1/seed-{first}", "stage 2": f"stage2/seed-{first}"}
    folders |= {name: student_folder(name, first) for name in compared(run.recipe)}
    found = {name: read_events(run.folder / folder) for name, folder in folders.items()}
    return {name: events for name, events in found.items() if events}


def _gallery(run: Run, predictions: dict[str, Float32Array]) -> list[GalleryItem]:
    """Test images: half where distillation helped most, half drawn at regular steps."""
    seed = run.seeds[0]
    before = predictions[f"baseline.{seed}.test"]
    after = predictions[f"distilled.{seed}.test"]
    regions = load_regions(run.folder / "evaluate")
    helped = np.argsort(_image_loss(after, run.test.labels) - _image_loss(before, run.test.labels))
    regular = np.linspace(0, len(run.test) - 1, GALLERY // 2).astype(int)
    chosen = [(int(i), "helped most") for i in helped[: GALLERY // 2]]
    chosen += [(int(i), "picked at regular steps") for i in regular]
    items = []
    for row, why in chosen:
        record = run.test.records[row]
        truth = tuple(c for c, y in zip(run.classes, record.labels, strict=True) if y == 1)
        items.append(
            GalleryItem(
                image=run.images(record.path),
                boxes=regions["boxes"][row],
                box_scores=regions["scores"][row],
                truth=truth,
                before=_named(before[row], run.classes, truth),
                after=_named(after[row], run.classes, truth),
                caption=f"{record.image_id} ({why})",
            )
        )
    return items


def _image_loss(probabilities: Float32Array, labels: Int8Array) -> np.ndarray:
    """Cross-entropy of each image, over its known labels."""
    p = np.clip(probabilities, 1e-6, 1 - 1e-6)
    terms = np.where(labels == 1, -np.log(p), -np.log1p(-p)) * (labels >= 0)
    return np.asarray(terms.sum(1))


def _named(
    row: Float32Array, classes: tuple[str, ...], truth: tuple[str, ...]
) -> tuple[tuple[str, float], ...]:
    """The best classes and all true ones, best first."""
    order = np.argsort(-row, kind="stable")
    wanted = [i for place, i in enumerate(order) if place < SHOWN_LABELS or classes[i] in truth]
    return tuple((classes[i], float(row[i])) for i in wanted)
