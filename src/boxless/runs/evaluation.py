"""Predict the test and held-out images with every variant and measure them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file, save

from boxless.data.manifest import Manifest
from boxless.files.progress import ProgressBar
from boxless.files.seals import KEY, write_sealed
from boxless.metrics.average_precision import mean_average_precision
from boxless.metrics.summary import classification_summary
from boxless.models.classifier import Classifier
from boxless.recipe.schema import Recipe
from boxless.report.results import TEACHER
from boxless.runs import build
from boxless.runs.context import Run
from boxless.runs.record import read_record, read_step_file
from boxless.runs.teacher_findings import findings
from boxless.runs.variant import Variant, by_key, variants
from boxless.training.batches import PREDICT_BATCH, whole_batches
from boxless.training.teacher_cache import TeacherCache
from boxless.types import Float32Array

PREDICTIONS = "predictions.safetensors"
REGIONS = "teacher-regions.safetensors"
METRICS = "metrics.json"


def evaluate(run: Run, folder: Path) -> dict[str, Any]:
    """Predictions and metrics of all variants and the teacher."""
    recipe, students = run.recipe, variants(run.recipe)
    parts = {"test": run.test} | ({"held_out": run.held_out} if run.held_out else {})
    predictions: dict[str, Float32Array] = {}
    images = (1 + len(students)) * sum(map(len, parts.values()))
    summaries: dict[str, Any] = {}
    with ProgressBar("evaluate", images) as bar:
        regions: dict[str, np.ndarray] = {}
        for part, manifest in parts.items():
            found = findings(run, manifest, bar)
            predictions[prediction_key(TEACHER, recipe.run.seed, part)] = found.probabilities
            if part == "test":
                summaries["localization"] = found.localization(manifest, len(run.classes))
                regions = {"boxes": found.top_boxes, "scores": found.top_scores}
        for variant in students:
            model = student_of(run, variant)
            size = variant.view_size
            for part, manifest in parts.items():
                key = prediction_key(variant.key, variant.seed, part)
                predictions[key] = predict(run, model, manifest, size, bar)
    write_sealed(folder / PREDICTIONS, save(predictions))
    write_sealed(folder / REGIONS, save(regions))
    summaries["variants"] = {
        key: [_measure(run, predictions, key, seed) for seed in seeds]
        for key, seeds in models(recipe).items()
    }
    summaries["teacher_fit"] = _teacher_fit(run)
    write_sealed(folder / METRICS, json.dumps(summaries, indent=1).encode())
    _track(run, summaries["variants"])
    return {"test_images": len(run.test)}


def _track(run: Run, found: dict[str, list[dict[str, Any]]]) -> None:
    """Send what was reached on held-out images to the run's tracker, a step per seed."""
    tracker = run.runtime.tracker
    for key, entries in found.items():
        for entry in entries:
            if entry["held_out_map"] is not None:
                tracker.log(key, entry["seed"], {"held_out_map": entry["held_out_map"]})
    tracker.close()


def models(recipe: Recipe) -> dict[str, list[int]]:
    """Seeds of the teacher and of every variant, by its key, in the order of tables."""
    students = {key: [one.seed for one in found] for key, found in by_key(recipe).items()}
    return {TEACHER: [recipe.run.seed]} | students


def prediction_key(key: str, seed: int, part: str = "test") -> str:
    """Name of a table of predictions.

    Args:
        key: `Variant.key`, or ``teacher``.
        seed: Seed of the student; the run's for the teacher.
        part: ``test`` or ``held_out``.
    """
    return f"{key}.{seed}.{part}"


def student_of(run: Run, variant: Variant) -> Classifier:
    """A trained student, placed and in evaluation mode."""
    model = build.trained_student(run.recipe, len(run.classes), variant, run.folder)
    run.runtime.place(model)
    return model


@torch.no_grad()
def predict(
    run: Run, model: Classifier, manifest: Manifest, size: int, bar: ProgressBar
) -> Float32Array:
    """Probabilities (M, K) of a student, sigmoid in float32."""
    found = np.zeros((len(manifest), len(run.classes)), np.float32)  # one piece: no torn memory
    dataset, workers = run.dataset(manifest), run.recipe.run.workers
    for batch in whole_batches(dataset, size=size, batch_size=PREDICT_BATCH, workers=workers):
        with run.runtime.autocast():
            logits = model(batch.to(run.runtime.device).pixels.float())
        found[batch.index.numpy()] = logits.float().sigmoid().cpu().numpy()
        bar.advance(len(batch.index))
    return found


def _measure(run: Run, predictions: dict[str, Float32Array], key: str, seed: int) -> dict[str, Any]:
    """Metrics of one trained model."""
    test = predictions[prediction_key(key, seed)]
    held_out = predictions.get(prediction_key(key, seed, "held_out"))
    held_out_map = None
    if held_out is not None and run.held_out is not None:
        held_out_map = map_of(held_out, run.held_out)
    return {
        "seed": seed,
        "metrics": classification_summary(test, run.test.labels, run.classes),
        "held_out_map": held_out_map,
    }


def _teacher_fit(run: Run) -> dict[str, float]:
    """How much of the tags the teacher has memorised: mAP on images seen and unseen in training."""
    cache, tagged = TeacherCache(run.folder / "cache", len(run.pool)), len(run.train)
    seen = map_of(cache.seen.numpy()[:tagged], run.train)
    described = map_of(cache.probabilities.numpy()[:tagged], run.train)
    return {"train_map": seen, "cross_fitted_train_map": described}


def map_of(probabilities: Float32Array, part: Manifest) -> float:
    """MAP of probabilities (M, K) of a part of the data; NaN where no class has a positive."""
    found = mean_average_precision(probabilities, part.labels, classes=part.classes)
    return float(found.value)


def load_predictions(folder: Path) -> dict[str, Float32Array]:
    """Predictions of a finished evaluation, by `prediction_key`: (M, K)."""
    return read_step_file(folder / PREDICTIONS, load_file)


def load_summaries(folder: Path) -> dict[str, Any]:
    """Metrics of a finished evaluation, as `evaluate` wrote them."""
    found: dict[str, Any] = read_step_file(
        folder / METRICS, lambda path: json.loads(path.read_text("utf-8"))
    )
    found.pop(KEY, None)
    return found


def load_regions(folder: Path) -> dict[str, np.ndarray]:
    """Best regions of the test images: ``boxes`` (M, 10, 4) and ``scores`` (M, 10)."""
    return read_step_file(folder / REGIONS, load_file)


def stacked(
    run: Run, predictions: dict[str, Float32Array], key: str, part: str = "test"
) -> Float32Array:
    """(S, M, K) predictions of all seeds; the one teacher stands beside every student's."""
    seeds = [run.recipe.run.seed if key == TEACHER else seed for seed in run.seeds]
    return np.stack([predictions[prediction_key(key, seed, part)] for seed in seeds])


def seconds_of(folder: Path) -> float:
    """Wall time of a finished step."""
    record = read_record(folder)
    return record.seconds if record else 0.0
