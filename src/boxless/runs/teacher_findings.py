"""What the teacher says of test and held-out images: probabilities, best regions, detections."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import nms

from boxless.data.manifest import Manifest
from boxless.files.progress import ProgressBar
from boxless.metrics.coverage import object_coverage
from boxless.metrics.inputs import known, known_mean
from boxless.metrics.localization import correct_localization, detection_average_precision
from boxless.models.protocols import Answer
from boxless.runs import build
from boxless.runs.context import Run
from boxless.runs.maps import quick_backbone
from boxless.runs.teacher_steps import filed_probabilities
from boxless.training.batches import PREDICT_BATCH, Batch, whole_batches
from boxless.training.events import WEIGHTS
from boxless.types import Detections, Float32Array, TrueBox

DETECTION_IOU = 0.4
"""NMS of detections (WSDDN core/wsddn_test.m)."""
DETECTION_FLOOR = 1e-3
TOP_REGIONS = 10
"""Regions by s' kept for the gallery, as in the authors' qualitative figure."""
WHOLE = 0.99
"""Regions of this part of the image or more tell nothing by covering its objects."""


class TeacherFindings:
    """What the teacher says of a set of images.

    Attributes:
        probabilities: (M, K), p^T.
        top_boxes: (M, 10, 4) best regions by s', pixels of the original image.
        top_scores: (M, 10), s'.
        detections: Detections per image, after NMS.
        best_boxes: (M, K, 4) best box of each class.
        covering: Best regions by s' of each image, at most 10, without those of the whole image.
        frames: The whole images, as boxes.
    """

    def __init__(self, images: int, classes: int) -> None:
        self.probabilities = np.zeros((images, classes), np.float32)
        self.top_boxes = np.zeros((images, TOP_REGIONS, 4), np.float32)
        self.top_scores = np.zeros((images, TOP_REGIONS), np.float32)
        self.best_boxes = np.zeros((images, classes, 4), np.float32)
        self.detections: list[Detections] = []
        self.covering: list[Float32Array] = []
        self.frames: list[tuple[TrueBox, ...]] = []

    def add(
        self, row: int, scores: Tensor, boxes: Tensor, weights: Tensor, size: tuple[int, int]
    ) -> None:
        """Take one image: S (R, K), boxes (R, 4) in pixels, s' (R,), width and height."""
        self.best_boxes[row] = boxes[scores.argmax(0)].numpy()
        top = weights.argsort(descending=True)[:TOP_REGIONS]
        self.top_boxes[row, : len(top)] = boxes[top].numpy()
        self.top_scores[row, : len(top)] = weights[top].numpy()
        self.detections.append(_detections(scores, boxes))
        area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
        order = weights.argsort(descending=True, stable=True)
        smaller = order[(area < WHOLE * size[0] * size[1])[order]]
        self.covering.append(boxes[smaller[:TOP_REGIONS]].numpy())
        self.frames.append((TrueBox(0, (0.0, 0.0, float(size[0]), float(size[1]))),))

    def localization(self, manifest: Manifest, classes: int) -> dict[str, Any] | None:
        """Detection AP (11-point, IoU 0.5), CorLoc, coverage; None without regions or truth."""
        if not manifest.has_boxes or not self.detections:
            return None
        truths = [record.boxes or () for record in manifest.records]
        precision = detection_average_precision(self.detections, truths, num_classes=classes)
        corloc = correct_localization(
            list(self.best_boxes), truths, manifest.labels, num_classes=classes
        )
        covered = object_coverage(self.covering, truths)
        return {
            "detection_map": known_mean(precision),
            "corloc": known_mean(corloc),
            "coverage": known(covered),
            "covered_area": object_coverage(self.covering, self.frames),
            "per_class_detection_ap": list(map(known, precision)),
            "per_class_corloc": list(map(known, corloc)),
        }


def findings(run: Run, part: Manifest, bar: ProgressBar) -> TeacherFindings:
    """What the teacher says of a part of the data."""
    found = TeacherFindings(len(part), len(run.classes))
    if not run.proposes:
        found.probabilities = teacher_probabilities(run, part, bar)
        found.top_boxes, found.top_scores = found.top_boxes[:, :0], found.top_scores[:, :0]
        return found
    weigh = build.knowledge(run.recipe).objectness
    for batch, answer in _answers(run, part):
        scores = answer.region_scores().float()
        weights = weigh(scores, batch.to(scores.device)).cpu()
        probabilities = answer.image_probabilities().float()
        found.probabilities[batch.index.numpy()] = probabilities.cpu().numpy()
        for place, row in enumerate(batch.index.tolist()):
            valid = batch.mask[place]
            proposals = run.store[part.records[row].image_id]
            size = (proposals.width, proposals.height)
            boxes = batch.whole_boxes[place][valid] * torch.tensor(size * 2)
            found.add(row, scores[place].cpu()[valid], boxes, weights[place][valid], size)
        bar.advance(len(batch.index))
    return found


def teacher_probabilities(run: Run, part: Manifest, bar: ProgressBar) -> Float32Array:
    """p^T (M, K) alone; see `findings`."""
    if run.recipe.teacher.kind == "file":
        bar.advance(len(part))
        return filed_probabilities(run, part)
    found = np.zeros((len(part), len(run.classes)), np.float32)
    for batch, answer in _answers(run, part):
        found[batch.index.numpy()] = answer.image_probabilities().float().cpu().numpy()
        bar.advance(len(batch.index))
    return found


@torch.no_grad()
def _answers(run: Run, part: Manifest) -> Iterator[tuple[Batch, Answer]]:
    """Batches of whole images, and what the teacher says of each."""
    config = run.recipe.teacher
    teacher = build.trained_teacher(run.recipe, len(run.classes), run.folder / "teacher" / WEIGHTS)
    run.runtime.place(teacher)
    dataset = run.dataset(part, regions=config.regions)
    teacher.quick = quick_backbone(run, (config.level,))
    size, workers = config.input_size, run.recipe.run.workers
    for batch in whole_batches(dataset, size=size, batch_size=PREDICT_BATCH, workers=workers):
        with run.runtime.autocast():
            answer = teacher.answer(batch.to(run.runtime.device))
        yield batch, answer


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
