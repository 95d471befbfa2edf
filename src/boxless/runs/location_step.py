"""How boxes are made of each student's class maps, and how well these look."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from boxless.data.manifest import Manifest
from boxless.errors import StoreError
from boxless.inference.location import LocationSettings
from boxless.metrics.answer_bootstrap import paired_answer_bootstrap
from boxless.models.classifier import Classifier
from boxless.models.detector import Detector
from boxless.runs import build
from boxless.runs.context import Run
from boxless.runs.evaluation import arm_folders, load_predictions
from boxless.runs.looking import Answers, look, references
from boxless.files.seals import require_whole, write_sealed
from boxless.training.batches import PREDICT_BATCH, whole_batches
from boxless.training.events import StepProgress
from boxless.training.files import WEIGHTS
from boxless.types import Float32Array

FILE_NAME: Final = "location.json"
MAPS: Final = "examples.safetensors"
"""``rows`` of test images, and class maps (rows, K, h, w) of each of `SHOWN`, first seed."""
EXAMPLES: Final = 6
"""Test images shown in the report, picked at regular steps."""
BACKGROUND_IMAGES: Final = 500
"""Most images that the background of the maps is taken from."""
SHOWN: Final = ("teacher", "baseline", "distilled")


def locate_arms(run: Run, folder: Path) -> dict[str, Any]:
    """Write ``location.json``: settings of every arm and seed and, with true boxes, figures.

    The background of a student's maps is their mean over held-out images and classes (training
    images where none are held out): it needs no box and no tag.
    """
    arms = arm_folders(run)
    blank = _reference_images(run)
    measured = run.test if run.test.has_boxes else None
    students = sum(map(len, arms.values()))
    images = (students + 1) * (len(blank) + (len(measured) if measured else 0))
    probabilities = load_predictions(run.folder / "evaluate")
    found: dict[str, list[dict[str, Any]]] = {}
    answers: dict[str, list[Answers]] = {}
    rows = np.unique(np.linspace(0, len(run.test) - 1, EXAMPLES).astype(np.int64))
    shown: dict[str, np.ndarray] = {"rows": rows}
    with StepProgress("locate", images) as bar:
        for arm, seed, model, size in _models(run, arms):
            settings = settings_of(model, size, class_maps(run, model, blank, size, bar))
            entry: dict[str, Any] = {"seed": seed, "settings": asdict(settings)}
            if measured is not None:
                maps = class_maps(run, model, measured, size, bar)
                scores = probabilities[f"{arm}.{seed}.test"]
                answers.setdefault(arm, []).append(look(run, maps, scores, settings))
                entry["figures"] = answers[arm][-1].figures()
                if arm in SHOWN and seed == run.recipe.run.seed:
                    shown[arm] = maps[rows]
            found.setdefault(arm, []).append(entry)
    summary = _summary(run, answers) if measured is not None else None
    value = {"schema": 1, "arms": found, "summary": summary}
    write_sealed(folder / MAPS, save(shown))
    write_sealed(folder / FILE_NAME, json.dumps(value, indent=1).encode())
    return {"images": len(measured) if measured else 0}


def _models(
    run: Run, arms: dict[str, list[Path]]
) -> Iterator[tuple[str, int, Classifier | Detector, int]]:
    """Arm, seed, network and side of its input, one after the other."""
    if run.recipe.teacher.head == "pooled_linear":
        teacher = build.trained_detector(
            run.recipe, len(run.classes), run.folder / "teacher" / WEIGHTS
        )
        run.runtime.place(teacher)
        yield "teacher", run.recipe.run.seed, teacher, run.recipe.teacher.input_size
    for arm, folders in arms.items():
        side = int(arm.partition("@")[2] or run.recipe.student.input_size)
        for seed, trained in zip(run.seeds, folders, strict=True):
            model = build.trained_student(run.recipe, len(run.classes), trained / WEIGHTS, side)
            run.runtime.place(model)
            yield arm, seed, model, build.student_view(run.recipe, side)


def _reference_images(run: Run) -> Manifest:
    part = run.held_out or run.train
    return part.without(part.image_ids[BACKGROUND_IMAGES:])


def settings_of(model: Classifier | Detector, size: int, maps: Float32Array) -> LocationSettings:
    """How boxes are made of a model's class maps.

    Args:
        model: The student, or the teacher.
        size: Side of its input.
        maps: (M, K, h, w) class maps of images of any kind.
    """
    background = maps.mean((0, 1), dtype=np.float64)
    rows = tuple(tuple(round(float(value), 4) for value in row) for row in background)
    return LocationSettings(shift=map_shift(model, size), background=rows)


@torch.no_grad()
def class_maps(
    run: Run, model: Classifier | Detector, part: Manifest, size: int, bar: StepProgress
) -> Float32Array:
    """Class maps (M, K, h, w) of a part of the images.

    A student's are `Classifier.evidence`; the teacher's are its class logits M^c of single cells.
    """
    rows = []
    for batch in whole_batches(run.dataset(part), size=size, batch_size=PREDICT_BATCH):
        with run.runtime.autocast():
            inputs = model.backbone.normalize(batch.to(run.runtime.device).pixels.float())
            if isinstance(model, Classifier):
                maps = model.evidence(model.final_maps(inputs))
            else:
                cells = model.backbone(inputs, (model.level,))[model.level].permute(0, 2, 3, 1)
                maps = model.heads[0](cells)[0].permute(0, 3, 1, 2)
        rows.append(maps.float().cpu().numpy())
        bar.advance(len(batch.index))
    return np.concatenate(rows)


def _summary(run: Run, answers: dict[str, list[Answers]]) -> dict[str, Any]:
    """What ``results.json`` says of the whole run."""
    gains: dict[str, Any] = {"gain_pointing": None, "gain_corloc": None}
    for name in ("pointing", "corloc"):
        pair = [
            np.stack([getattr(one, name) for one in answers[arm]])
            for arm in ("distilled", "baseline")
        ]
        if not np.isnan(pair[0]).all():
            interval = paired_answer_bootstrap(*pair)
            gains[f"gain_{name}"] = {
                field: getattr(interval, field) for field in type(interval).__slots__
            }
    return references(run) | gains


def load_location(folder: Path, arm: str, seed: int) -> LocationSettings:
    """How boxes are made of a student's class maps.

    Args:
        folder: Folder of the step, ``RUN/locate``.
        arm: Key of the arm.
        seed: Seed of the student.

    Raises:
        StoreError: The file is missing or damaged, or knows no such student.
    """
    for entry in load_looking(folder)["arms"].get(arm, ()):
        if entry["seed"] == seed:
            settings = dict(entry["settings"])
            settings["background"] = tuple(tuple(row) for row in settings["background"])
            return LocationSettings(**settings)
    raise StoreError(
        f"{folder / FILE_NAME} knows no student of arm {arm!r}, seed {seed}",
        hint="run the same command again with --force locate",
    )


def map_shift(model: Classifier | Detector, size: int) -> float:
    """How far a model's class maps are displaced, see `LocationSettings.shift`.

    Args:
        model: The student, or the teacher.
        size: Side of its input.
    """
    level = model.level if isinstance(model, Detector) else "final"
    inner = model.resize_to if isinstance(model, Classifier) else 0
    return model.backbone.displacement(level) / (inner or size)


def load_examples(folder: Path) -> dict[str, np.ndarray]:
    """`MAPS` of a finished step.

    Raises:
        StoreError: The file is missing or damaged.
    """
    try:
        require_whole(folder / MAPS)
        found: dict[str, np.ndarray] = load_file(folder / MAPS)
    except (OSError, SafetensorError) as error:
        raise StoreError(
            f"{folder / MAPS} is missing or damaged: {str(error)[:200]}",
            hint="run the same command again with --force locate",
        ) from error
    return found


def load_looking(folder: Path) -> dict[str, Any]:
    """All that the step ``locate`` found: ``arms`` and ``summary``.

    Raises:
        StoreError: The file is missing or damaged.
    """
    path = folder / FILE_NAME
    try:
        require_whole(path)
        value: dict[str, Any] = json.loads(path.read_text("utf-8"))
        for entry in (entry for entries in value["arms"].values() for entry in entries):
            _ = entry["seed"], entry["settings"]["background"], value["summary"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{path} is missing or damaged: {str(error)[:200]}",
            hint="run the same command again with --force locate",
        ) from error
    return value
