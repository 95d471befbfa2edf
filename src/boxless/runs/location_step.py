"""How boxes are made of each student's class maps, and how well these look beside true boxes."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors.numpy import load_file, save

from boxless.data.manifest import Manifest
from boxless.errors import StoreError
from boxless.files.progress import ProgressBar
from boxless.files.seals import write_sealed
from boxless.inference.location import LocationSettings, locate, peak
from boxless.methods.table import PLAIN
from boxless.metrics.bootstrap import paired_answer_bootstrap
from boxless.metrics.inputs import known_mean
from boxless.metrics.localization import (
    correct_localization,
    detection_average_precision,
    pointing_game,
    share_of_yes,
)
from boxless.models.classifier import Classifier
from boxless.recipe.schema import Recipe
from boxless.report.results import TEACHER
from boxless.runs import build
from boxless.runs.build import TrainedTeacher
from boxless.runs.context import Run
from boxless.runs.evaluation import load_predictions, prediction_key, student_of
from boxless.runs.maps import quick_backbone
from boxless.runs.record import entry_of, read_entries, read_step_file
from boxless.runs.variant import variants
from boxless.training.batches import PREDICT_BATCH, whole_batches
from boxless.training.events import WEIGHTS
from boxless.types import PRESENT, Detections, Float32Array, Float64Array

TOLERANCE: Final = 15
"""Pixels that a point may lie outside a box in the tolerant pointing game (Zhang et al.)."""
DETECTION_FLOOR: Final = 0.01
"""Classes less probable than this get no box in the detection AP."""


@dataclass(frozen=True, slots=True)
class Answers:
    """How one model localized in each test image.

    Attributes:
        pointing: (M, K) of 1, 0 and NaN: did the strongest cell lie in a true box?
        pointing_tolerant: The same, at most `TOLERANCE` pixels outside.
        corloc: The same of the box's overlap.
        detection: (K,) average precision of the boxes.
    """

    pointing: Float64Array
    pointing_tolerant: Float64Array
    corloc: Float64Array
    detection: Float64Array

    def figures(self) -> dict[str, float | None]:
        """Means over classes, by the names of `boxless.report.part.SeedMapLocalization`."""
        return {
            "pointing": known_mean(share_of_yes(self.pointing)),
            "pointing_tolerant": known_mean(share_of_yes(self.pointing_tolerant)),
            "corloc": known_mean(share_of_yes(self.corloc)),
            "detection_map": known_mean(self.detection),
        }


def compare_with_boxes(
    run: Run, maps: Float32Array, probabilities: Float32Array, settings: LocationSettings
) -> Answers:
    """Compare one model's maps of the test images with the true boxes.

    Args:
        run: The run; its test images have boxes.
        maps: (M, K, h, w) class maps.
        probabilities: (M, K), the scores of the boxes.
        settings: How boxes are made.
    """
    records, labels = run.test.records, run.test.labels
    M, K = labels.shape
    truths = [record.boxes or () for record in records]
    points = np.full((M, K, 2), np.nan)
    boxes = np.full((M, K, 4), np.nan)
    detections = []
    for row, record in enumerate(records):
        size = size_of(run, record.path)
        asked = labels[row] == PRESENT
        for k in np.flatnonzero(asked):
            points[row, k] = peak(maps[row, k], size, settings)
        wanted = np.flatnonzero(asked | (probabilities[row] > DETECTION_FLOOR)).tolist()
        for box in locate(maps[row], size, wanted, settings):
            boxes[row, box.label] = box.x1, box.y1, box.x2, box.y2
        sure = np.flatnonzero(probabilities[row] > DETECTION_FLOOR)
        detections.append(
            Detections(boxes[row, sure].astype(np.float32), probabilities[row, sure], sure)
        )
    asked = partial(pointing_game, list(points), truths, labels, num_classes=K, per_image=True)
    return Answers(
        pointing=asked(),
        pointing_tolerant=asked(tolerance=TOLERANCE),
        corloc=correct_localization(list(boxes), truths, labels, num_classes=K, per_image=True),
        detection=detection_average_precision(detections, truths, num_classes=K),
    )


def references(run: Run) -> dict[str, Any]:
    """What one reaches without any model: the middle of the image, the whole image."""
    labels = run.test.labels
    K = labels.shape[1]
    truths = [record.boxes or () for record in run.test.records]
    sizes = [size_of(run, record.path) for record in run.test.records]
    middles = [np.tile([width / 2, height / 2], (K, 1)) for width, height in sizes]
    wholes = [np.tile([0, 0, width, height], (K, 1)) for width, height in sizes]
    asked = pointing_game(middles, truths, labels, num_classes=K, per_image=True)
    return {
        "images": len(run.test),
        "pairs": int((~np.isnan(asked)).sum()),
        "tolerance": TOLERANCE,
        "centre_pointing": known_mean(share_of_yes(asked)),
        "whole_image_corloc": known_mean(
            correct_localization(wholes, truths, labels, num_classes=K)
        ),
    }


def size_of(run: Run, path: str) -> tuple[int, int]:
    """Width and height of an image in pixels."""
    height, width = run.images(path).shape[:2]
    return width, height


FILE_NAME: Final = "location.json"
MAPS: Final = "examples.safetensors"
"""``rows`` of test images, and class maps (rows, K, h, w) of each of `shown_keys`, first seed."""
EXAMPLES: Final = 6
"""Test images shown in the report, picked at regular steps."""
BACKGROUND_IMAGES: Final = 500
"""Most images that the background of the maps is taken from."""


def locate_variants(run: Run, folder: Path) -> dict[str, Any]:
    """Write ``location.json``: settings of every variant and, with true boxes, figures.

    The background of a student's maps is their mean over held-out images and classes (training
    images where none are held out): it needs no box and no tag.
    """
    recipe, blank = run.recipe, _reference_images(run)
    measured = run.test if run.test.has_boxes else None
    images = (len(variants(recipe)) + 1) * (len(blank) + (len(measured) if measured else 0))
    probabilities = load_predictions(run.folder / "evaluate")
    found: dict[str, list[dict[str, Any]]] = {}
    answers: dict[str, list[Answers]] = {}
    rows = np.unique(np.linspace(0, len(run.test) - 1, EXAMPLES).astype(np.int64))
    shown: dict[str, np.ndarray] = {"rows": rows}
    with ProgressBar("locate", images) as bar:
        for key, seed, model, size in _models(run):
            settings = settings_of(class_maps(run, model, blank, size, bar))
            entry: dict[str, Any] = {"seed": seed, "settings": asdict(settings)}
            if measured is not None:
                maps = class_maps(run, model, measured, size, bar)
                scores = probabilities[prediction_key(key, seed)]
                answers.setdefault(key, []).append(compare_with_boxes(run, maps, scores, settings))
                entry["figures"] = answers[key][-1].figures()
                if key in shown_keys(recipe) and seed == recipe.run.seed:
                    shown[key] = maps[rows]
            found.setdefault(key, []).append(entry)
    summary = _summary(run, answers) if measured is not None else None
    value = {"schema": 2, "variants": found, "summary": summary}
    write_sealed(folder / MAPS, save(shown))
    write_sealed(folder / FILE_NAME, json.dumps(value, indent=1).encode())
    return {"images": len(measured) if measured else 0}


def shown_keys(recipe: Recipe) -> tuple[str, ...]:
    """Models whose maps the report shows: teacher, plain student, distilled student."""
    return (TEACHER, PLAIN, recipe.method)


def _models(run: Run) -> Iterator[tuple[str, int, Classifier | TrainedTeacher, int]]:
    """Key, seed, network and side of its input, one after the other."""
    recipe = run.recipe
    kind = recipe.teacher.kind
    if kind == "class_maps" or (kind == "wsddn" and recipe.teacher.head == "pooled_linear"):
        weights = run.folder / "teacher" / WEIGHTS
        teacher = build.trained_teacher(recipe, len(run.classes), weights)
        run.runtime.place(teacher)
        teacher.quick = quick_backbone(run, (teacher.level,))
        yield TEACHER, recipe.run.seed, teacher, recipe.teacher.input_size
    for variant in variants(recipe):
        size = variant.view_size
        yield variant.key, variant.seed, student_of(run, variant), size


def _reference_images(run: Run) -> Manifest:
    part = run.held_out or run.train
    return part.without(part.image_ids[BACKGROUND_IMAGES:])


def settings_of(maps: Float32Array) -> LocationSettings:
    """How boxes are made of a model's class maps, (M, K, h, w) of images of any kind."""
    background = maps.mean((0, 1), dtype=np.float64)
    rows = tuple(tuple(round(float(value), 4) for value in row) for row in background)
    return LocationSettings(background=rows)


@torch.no_grad()
def class_maps(
    run: Run, model: Classifier | TrainedTeacher, part: Manifest, size: int, bar: ProgressBar
) -> Float32Array:
    """Class maps (M, K, h, w) of a part of the images.

    All are called `evidence`; a detector's are its class logits M^c of single cells.
    """
    rows = []
    dataset, workers = run.dataset(part), run.recipe.run.workers
    for batch in whole_batches(dataset, size=size, batch_size=PREDICT_BATCH, workers=workers):
        with run.runtime.autocast():
            pixels = batch.to(run.runtime.device).pixels.float()
            if isinstance(model, Classifier):
                maps = model.evidence(model.final_maps(model.backbone.normalize(pixels)))
            else:
                maps = model.evidence(model.maps(pixels, (model.level,))[model.level])
        rows.append(maps.float().cpu().numpy())
        bar.advance(len(batch.index))
    return np.concatenate(rows)


def _summary(run: Run, answers: dict[str, list[Answers]]) -> dict[str, Any]:
    """What ``results.json`` says of the whole run."""
    gains: dict[str, Any] = {"gain_pointing": None, "gain_corloc": None}
    for name in ("pointing", "corloc"):
        pair = [
            np.stack([getattr(one, name) for one in answers[key]])
            for key in (run.recipe.method, PLAIN)
        ]
        if not np.isnan(pair[0]).all():
            gains[f"gain_{name}"] = asdict(paired_answer_bootstrap(*pair))
    return references(run) | gains


def load_location(folder: Path, key: str, seed: int) -> LocationSettings:
    """How boxes are made of a student's class maps.

    Args:
        folder: Folder of the step, ``RUN/locate``.
        key: Key of the variant.
        seed: Seed of the student.

    Raises:
        StoreError: The file is missing or damaged, or knows no such student.
    """
    entry = entry_of(load_localization(folder)["variants"], key, seed)
    if not entry:
        raise StoreError(
            f"{folder / FILE_NAME} knows no student of variant {key!r}, seed {seed}",
            hint="run the same command again with --force locate",
        )
    background = tuple(map(tuple, entry["settings"]["background"]))
    return LocationSettings(**{**entry["settings"], "background": background})


def load_examples(folder: Path) -> dict[str, np.ndarray]:
    """`MAPS` of a finished step."""
    return read_step_file(folder / MAPS, load_file)


def load_localization(folder: Path) -> dict[str, Any]:
    """All that the step ``locate`` found: ``variants`` and ``summary``."""
    return read_entries(folder / FILE_NAME, "settings")
