"""Which test images the report shows: with both students' labels, and with class maps."""

from pathlib import PurePath
from typing import Final

import numpy as np

from boxless.inference.labels import Label
from boxless.methods.table import PLAIN
from boxless.metrics.calibration import Calibration
from boxless.report.gallery import GalleryItem, LocalizedImage
from boxless.runs.calibration_step import load_calibration
from boxless.runs.context import Run
from boxless.runs.evaluation import load_predictions, load_regions, prediction_key
from boxless.runs.location_step import load_examples, load_location, shown_keys
from boxless.runs.record import entry_of
from boxless.types import PRESENT, Float64Array, Int8Array

EACH: Final = 4
"""Pictures for each reason to show one."""
_LABELS: Final = 5


def gallery_items(run: Run, seed: int) -> list[GalleryItem]:
    """The distilled student's greatest errors, then where it gained most, then regular steps.

    Args:
        run: The run, its steps ``evaluate`` and ``calibrate`` done.
        seed: Of both students.

    Returns:
        Pictures with the labels of both, judged at their own temperatures and thresholds.
    """
    before, after = (_Judged(run, key, seed) for key in (PLAIN, run.recipe.method))
    regions = load_regions(run.folder / "evaluate")
    items = []
    for row, why in _chosen(before.loss, after.loss).items():
        record = run.test.records[row]
        true = {k for k, value in enumerate(record.labels) if value == 1}
        named = true.union(
            *(np.argsort(-one.probabilities[row])[:_LABELS] for one in (before, after))
        )
        items.append(
            GalleryItem(
                image=run.images(record.path),
                boxes=regions["boxes"][row],
                box_scores=regions["scores"][row],
                truth=tuple(run.classes[k] for k in sorted(true)),
                before=before.labels(row, named),
                after=after.labels(row, named),
                caption=f"{file_name(record.image_id)} ({why})",
            )
        )
    return items


def file_name(image_id: str) -> str:
    """What a picture is called, without the folders that it lies in."""
    return PurePath(image_id).name or image_id


class _Judged:
    """One student's answers on the test images, calibrated; `loss` is each image's."""

    def __init__(self, run: Run, key: str, seed: int) -> None:
        found = load_predictions(run.folder / "evaluate")[prediction_key(key, seed)]
        entry = entry_of(load_calibration(run.folder / "calibrate"), key, seed)
        fitted = Calibration(tuple(entry["temperatures"]), tuple(entry["thresholds"]))
        self._classes, self._thresholds = run.classes, fitted.thresholds
        self.probabilities = fitted.apply(found)
        self.loss = _image_loss(self.probabilities, run.test.labels)

    def labels(self, row: int, classes: set[int]) -> tuple[Label, ...]:
        """What is said of some classes of an image, best first."""
        said = [
            Label(self._classes[k], float(self.probabilities[row, k]), self._thresholds[k])
            for k in classes
        ]
        return tuple(sorted(said, key=lambda label: -label.probability))


def _chosen(before: Float64Array, after: Float64Array) -> dict[int, str]:
    """Rows of the images to show and why each is, the first reason that fits."""
    reasons = {
        "among the greatest errors": np.argsort(-after)[:EACH],
        "gained most by distilling": np.argsort(after - before),
        "picked at regular steps": np.linspace(0, len(after) - 1, EACH),
    }
    chosen: dict[int, str] = {}
    for why, rows in reasons.items():
        fresh = [int(row) for row in rows if int(row) not in chosen]
        chosen |= dict.fromkeys(fresh[:EACH], why)
    return chosen


def _image_loss(probabilities: Float64Array, labels: Int8Array) -> Float64Array:
    """Cross-entropy of each image, over its known labels."""
    p = np.clip(probabilities, 1e-6, 1 - 1e-6)
    terms = np.where(labels == 1, -np.log(p), -np.log1p(-p)) * (labels >= 0)
    return np.asarray(terms.sum(1), np.float64)


_NAMES = ("teacher", "without distillation", "with distillation")


def localization_items(run: Run) -> list[LocalizedImage]:
    """The first true class of some test images, as teacher and both students see it."""
    folder = run.folder / "locate"
    found = load_examples(folder)
    named = dict(zip(shown_keys(run.recipe), _NAMES, strict=True))
    keys = [key for key in named if key in found]
    settings = {key: load_location(folder, key, run.recipe.run.seed) for key in keys}
    items = []
    for place, row in enumerate(found["rows"].tolist()):
        record = run.test.records[row]
        true = [k for k, value in enumerate(record.labels) if value == PRESENT]
        if not keys or not true:
            continue
        boxes = tuple(box.xyxy for box in record.boxes or () if box.label == true[0])
        items.append(
            LocalizedImage(
                image=run.images(record.path),
                name=run.classes[true[0]],
                label=true[0],
                truth=boxes,
                maps=tuple((named[key], found[key][place], settings[key]) for key in keys),
                caption=file_name(record.image_id),
            )
        )
    return items
