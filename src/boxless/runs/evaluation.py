"""Predict the test and held-out images with every arm and measure them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save
from torch import Tensor
from torchvision.ops import nms

from boxless.data.manifest import Manifest
from boxless.errors import StoreError
from boxless.files.seals import KEY, repair_hint, require_whole, write_sealed
from boxless.metrics.average_precision import mean_average_precision
from boxless.metrics.localization import correct_localization, detection_average_precision
from boxless.metrics.summary import classification_summary
from boxless.models.classifier import Classifier
from boxless.models.detector import Detector
from boxless.recipe.schema import Recipe
from boxless.report.results import TEACHER
from boxless.runs import build
from boxless.runs.context import Run
from boxless.runs.record import read_record
from boxless.runs.variant import Variant, by_key, variants
from boxless.training.batches import PREDICT_BATCH, whole_batches
from boxless.training.events import StepProgress
from boxless.training.files import WEIGHTS
from boxless.training.teacher_cache import TeacherCache
from boxless.types import Detections, Float32Array

DETECTION_IOU = 0.4
"""NMS of detections (WSDDN core/wsddn_test.m)."""
DETECTION_FLOOR = 1e-3
TOP_REGIONS = 10
"""Regions by s' kept for the gallery, as in the authors' qualitative figure."""

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
    with StepProgress("evaluate", images) as bar:
        teacher = build.trained_detector(recipe, len(run.classes), run.folder / "teacher" / WEIGHTS)
        run.runtime.place(teacher)
        regions: dict[str, np.ndarray] = {}
        for part, manifest in parts.items():
            found = _run_teacher(run, teacher, manifest, bar)
            predictions[prediction_key(TEACHER, recipe.run.seed, part)] = found.probabilities
            if part == "test":
                summaries["localization"] = found.localization(manifest, len(run.classes))
                regions = {"boxes": found.top_boxes, "scores": found.top_scores}
        for variant in students:
            model = student_of(run, variant)
            size = build.student_view(recipe, variant.input_size)
            for part, manifest in parts.items():
                key = prediction_key(variant.key(recipe), variant.seed, part)
                predictions[key] = predict(run, model, manifest, size, bar)
    write_sealed(folder / PREDICTIONS, save(predictions))
    write_sealed(folder / REGIONS, save(regions))
    summaries["variants"] = {
        key: [_measure(run, predictions, key, seed) for seed in seeds]
        for key, seeds in models(recipe).items()
    }
    summaries["teacher_fit"] = _teacher_fit(run)
    write_sealed(folder / METRICS, json.dumps(summaries, indent=1).encode())
    return {"test_images": len(run.test)}


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
    weights = run.folder / variant.folder / WEIGHTS
    model = build.trained_student(run.recipe, len(run.classes), weights, variant.input_size)
    run.runtime.place(model)
    return model


@torch.no_grad()
def predict(
    run: Run, model: Classifier, manifest: Manifest, size: int, bar: StepProgress
) -> Float32Array:
    """Probabilities (M, K) of a student, sigmoid in float32."""
    found = np.zeros((len(manifest), len(run.classes)), np.float32)  # one piece: no torn memory
    for batch in whole_batches(run.dataset(manifest), size=size, batch_size=PREDICT_BATCH):
        with run.runtime.autocast():
            logits = model(batch.to(run.runtime.device).pixels.float())
        found[batch.index.numpy()] = logits.float().sigmoid().cpu().numpy()
        bar.advance(len(batch.index))
    return found


class TeacherFindings:
    """What the teacher says of a set of images.

    Attributes:
        probabilities: (M, K), p^T.
        top_boxes: (M, 10, 4) best regions by s', pixels of the original image.
        top_scores: (M, 10), s'.
        detections: Detections an image, after NMS.
        best_boxes: (M, K, 4) best box of each class.
    """

    def __init__(self, images: int, classes: int) -> None:
        self.probabilities = np.zeros((images, classes), np.float32)
        self.top_boxes = np.zeros((images, TOP_REGIONS, 4), np.float32)
        self.top_scores = np.zeros((images, TOP_REGIONS), np.float32)
        self.best_boxes = np.zeros((images, classes, 4), np.float32)
        self.detections: list[Detections] = []

    def add(self, row: int, scores: Tensor, boxes: Tensor, weights: Tensor) -> None:
        """Take one image: S (R, K), boxes (R, 4) in pixels, s' (R,)."""
        self.best_boxes[row] = boxes[scores.argmax(0)].numpy()
        top = weights.argsort(descending=True)[:TOP_REGIONS]
        self.top_boxes[row, : len(top)] = boxes[top].numpy()
        self.top_scores[row, : len(top)] = weights[top].numpy()
        self.detections.append(_detections(scores, boxes))

    def localization(self, manifest: Manifest, classes: int) -> dict[str, Any] | None:
        """Detection AP (11-point, IoU 0.5) and CorLoc; None without true boxes."""
        if not manifest.has_boxes:
            return None
        truths = [record.boxes or () for record in manifest.records]
        precision = detection_average_precision(self.detections, truths, num_classes=classes)
        corloc = correct_localization(
            list(self.best_boxes), truths, manifest.labels, num_classes=classes
        )
        return {
            "detection_map": _mean(precision),
            "corloc": _mean(corloc),
            "per_class_detection_ap": _plain(precision),
            "per_class_corloc": _plain(corloc),
        }


@torch.no_grad()
def _run_teacher(
    run: Run, teacher: Detector, manifest: Manifest, bar: StepProgress
) -> TeacherFindings:
    found = TeacherFindings(len(manifest), len(run.classes))
    weigh = build.knowledge(run.recipe).objectness
    dataset = run.dataset(manifest, regions=run.recipe.teacher.regions)
    size = run.recipe.teacher.input_size
    for batch in whole_batches(dataset, size=size, batch_size=PREDICT_BATCH):
        placed = batch.to(run.runtime.device)
        with run.runtime.autocast():
            (output,) = teacher(placed.pixels.float(), placed.boxes, placed.scores, placed.mask)
        scores = output.region_scores().float()
        weights = weigh(scores, placed).cpu()
        found.probabilities[batch.index.numpy()] = scores.sum(1).clamp(max=1).cpu().numpy()
        for place, row in enumerate(batch.index.tolist()):
            valid = batch.mask[place]
            proposals = run.store[manifest.records[row].image_id]
            sides = torch.tensor([proposals.width, proposals.height] * 2)
            boxes = batch.whole_boxes[place][valid] * sides
            found.add(row, scores[place].cpu()[valid], boxes, weights[place][valid])
        bar.advance(len(batch.index))
    return found


def _detections(scores: Tensor, boxes: Tensor) -> Detections:
    """Per-class NMS of one image."""
    kept_boxes, kept_scores, kept_labels = [], [], []
    for label in range(scores.shape[1]):
        index = (scores[:, label] > DETECTION_FLOOR).nonzero()[:, 0]
        kept = index[nms(boxes[index], scores[index, label], DETECTION_IOU)]
        kept_boxes.append(boxes[kept].numpy())
        kept_scores.append(scores[kept, label].numpy())
        kept_labels.append(np.full(len(kept), label, np.int64))
    return Detections(
        np.concatenate(kept_boxes).reshape(-1, 4),
        np.concatenate(kept_scores),
        np.concatenate(kept_labels),
    )


def _measure(run: Run, predictions: dict[str, Float32Array], key: str, seed: int) -> dict[str, Any]:
    """Metrics of one trained model."""
    test = predictions[prediction_key(key, seed)]
    held_out = predictions.get(prediction_key(key, seed, "held_out"))
    held_out_map = None
    if held_out is not None and run.held_out is not None:
        held_out_map = _map(held_out, run.held_out, run.classes)
    return {
        "seed": seed,
        "metrics": classification_summary(test, run.test.labels, run.classes),
        "held_out_map": held_out_map,
    }


def _teacher_fit(run: Run) -> dict[str, float]:
    """How much of the tags the teacher has memorised: mAP on images seen and unseen in training."""
    cache, tagged = TeacherCache(run.folder / "cache", len(run.pool)), len(run.train)
    seen = _map(cache.seen.numpy()[:tagged], run.train, run.classes)
    described = _map(cache.probabilities.numpy()[:tagged], run.train, run.classes)
    return {"train_map": seen, "cross_fitted_train_map": described}


def _map(probabilities: Float32Array, manifest: Manifest, classes: tuple[str, ...]) -> float:
    return float(mean_average_precision(probabilities, manifest.labels, classes=classes).value)


def _mean(values: np.ndarray) -> float | None:
    return None if np.isnan(values).all() else float(np.nanmean(values))


def _plain(values: np.ndarray) -> list[float | None]:
    return [None if np.isnan(v) else float(v) for v in values]


def load_predictions(folder: Path) -> dict[str, Float32Array]:
    """Predictions of a finished evaluation, by `prediction_key`: (M, K)."""
    found: dict[str, Float32Array] = _read(folder / PREDICTIONS, load_file)
    return found


def load_summaries(folder: Path) -> dict[str, Any]:
    """Metrics of a finished evaluation, as `evaluate` wrote them."""
    found: dict[str, Any] = _read(
        folder / METRICS, lambda path: json.loads(path.read_text("utf-8"))
    )
    found.pop(KEY, None)
    return found


def load_regions(folder: Path) -> dict[str, np.ndarray]:
    """Best regions of the test images: ``boxes`` (M, 10, 4) and ``scores`` (M, 10)."""
    found: dict[str, np.ndarray] = _read(folder / REGIONS, load_file)
    return found


def _read(path: Path, reader: Callable[[Path], Any]) -> Any:
    try:
        require_whole(path)
        return reader(path)
    except (OSError, SafetensorError, ValueError) as error:
        raise StoreError(
            f"{path} is missing or damaged: {str(error)[:200]}",
            hint=f"{repair_hint(path)}; or give --force evaluate",
        ) from error


def seconds_of(folder: Path) -> float:
    """Wall time of a finished step."""
    record = read_record(folder)
    return record.seconds if record else 0.0
