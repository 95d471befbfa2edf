"""Before distilling: does the teacher know anything, and more than the student knows alone?

A dead teacher teaches quietly. In the released code a mistake in names left it without weights, and
the sign was a stage-1 loss that was suspiciously small (issue 9 of its repository). Nothing is
refused here: each doubt is a warning and stands in the step's record.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.text import Text

from boxless.data.manifest import Manifest
from boxless.files.console import plain_console
from boxless.files.progress import ProgressBar
from boxless.methods.student_task import StudentTask
from boxless.methods.table import PLAIN
from boxless.metrics.average_precision import mean_average_precision
from boxless.runs.context import Run
from boxless.runs.evaluation import map_of, predict, student_of
from boxless.runs.phases import Phase
from boxless.runs.record import NAME, read_record
from boxless.runs.teacher_findings import teacher_probabilities
from boxless.runs.variant import Variant
from boxless.training.batches import ViewDataset, whole_batches
from boxless.training.events import CHECKPOINT, WEIGHTS
from boxless.training.teacher_cache import TeacherCache
from boxless.types import PRESENT, Float32Array, Int8Array

BATCH = 32
LOOKED = 4096
"""Training images at most whose kept predictions are looked at."""

SAME_ANSWER = 1e-4
"""Largest deviation of a class's probability over images that counts as one answer for all."""

CHANCE = 1.05
"""mAP over that of guessing, up to which a teacher counts as knowing nothing."""

MARGIN = 0.01
"""MAP that a whole-image layer may have more than the teacher without a word."""

SMALL_LOSS = 1e-3
"""Stage-1 loss over that of an empty student, below which it is suspicious before training."""


def check_teacher(run: Run, folder: Path, phase: Phase) -> dict[str, Any]:
    """Warn of a teacher that is dead, or worse than the plain student on held-out images.

    Looks once a run: before the first seed is distilled by the run's own method, and not again when
    that is resumed.

    Returns:
        ``teacher_check`` with what was measured and ``warnings``; nothing for other phases.
    """
    variant = phase.variant
    own = variant.method == run.recipe.method and variant.seed == run.seeds[0]
    if not own or phase.start is not None or not run.leads or (folder / CHECKPOINT).exists():
        return {}
    if not (run.folder / "cache" / NAME).exists():  # a method that needs none of it
        return {}
    doubts = _doubts(run)
    facts = _beside_whole_images(run)
    doubts += compare_whole_images(facts, run.recipe.teacher.kind)
    plain = replace(variant, method=PLAIN)
    if run.held_out is not None and (run.folder / plain.folder / WEIGHTS).exists():
        teacher, student = _held_out_maps(run, run.held_out, plain)
        facts |= {"teacher_held_out_map": teacher, "student_held_out_map": student}
        doubts += compare(teacher, student)
    warn(doubts)
    return {"teacher_check": facts | {"warnings": doubts}}


def _doubts(run: Run) -> list[str]:
    """Of a part of the training images, evenly spread: enough to tell death from life."""
    cache, tagged = TeacherCache(run.folder / "cache", len(run.pool)), len(run.train)
    spread = -(-tagged // LOOKED)
    return doubts_about(
        cache.probabilities.numpy()[:tagged:spread],
        cache.objectness.numpy()[:tagged:spread],
        run.train.labels[::spread],
    )


def doubts_about(
    probabilities: Float32Array, objectness: Float32Array, labels: Int8Array
) -> list[str]:
    """Signs of a dead teacher in what it says of the training images.

    Args:
        probabilities: (M, K), p^T.
        objectness: (M, R), s'; R = 0 where the teacher knows no regions.
        labels: (M, K) tags.
    """
    if float(probabilities.std(0).max()) < SAME_ANSWER:
        return ["the teacher gives every image the same answer: it is dead, or has no weights"]
    if objectness.shape[1] and float(objectness.max(initial=0)) <= 0:
        return ["the teacher gives every region the weight 0: stage 1 would learn nothing"]
    names = tuple(map(str, range(labels.shape[1])))
    own = float(mean_average_precision(probabilities, labels, classes=names).value)
    guess = float(np.mean([(c == PRESENT).sum() / max((c >= 0).sum(), 1) for c in labels.T]))
    if own <= CHANCE * guess:
        return [
            f"the teacher's mAP on its own training images is {100 * own:.1f}, and guessing gives"
            f" {100 * guess:.1f}: it has learned nothing, or has the wrong weights"
        ]
    return []


def _beside_whole_images(run: Run) -> dict[str, Any]:
    """MAP on unseen training images, of a cross-fitted teacher and of a layer on the pooled map."""
    record = read_record(run.folder / "teacher")
    layer = record.facts.get("whole_image_map") if record else None
    if layer is None or run.folds is None:
        return {}
    cache = TeacherCache(run.folder / "cache", len(run.pool))
    own = map_of(cache.probabilities.numpy()[: len(run.train)], run.train)
    return {"teacher_unseen_map": own, "whole_image_unseen_map": layer}


def compare_whole_images(facts: dict[str, Any], kind: str) -> list[str]:
    """A doubt where a plain layer on the teacher's own pooled map knows more than the teacher."""
    if not facts or facts["teacher_unseen_map"] + MARGIN >= facts["whole_image_unseen_map"]:
        return []
    own, layer = 100 * facts["teacher_unseen_map"], 100 * facts["whole_image_unseen_map"]
    class_maps = kind == "class_maps"
    advice = "try other teacher.parts" if class_maps else "set teacher.kind = 'class_maps'"
    return [
        f"on training images that they have not seen the teacher's mAP is {own:.1f} and that of a"
        f" linear layer on its pooled map {layer:.1f}: {advice}"
    ]


def compare(teacher: float, student: float) -> list[str]:
    """A doubt where the teacher is worse than the student without distillation."""
    if not teacher < student:
        return []
    return [
        f"on held-out images the teacher's mAP is {100 * teacher:.1f} and the plain student's"
        f" {100 * student:.1f}: distilling it may do harm; train the teacher longer or better first"
    ]


@torch.no_grad()
def suspicious_loss(task: StudentTask, dataset: ViewDataset, size: int, run: Run) -> list[str]:
    """A doubt where stage 1's loss is next to nothing before anything was learned.

    The loss of the first images is set beside that of a student whose maps are all zero, so the
    scale of the features does not matter.
    """
    rows = list(range(min(BATCH, len(dataset))))
    (batch,) = whole_batches(dataset, size=size, batch_size=BATCH, rows=rows)
    placed = batch.to(run.runtime.device)
    task.module.eval()
    with run.runtime.autocast():
        own = float(task.losses(placed)["loss"])
        with task.without_student():
            empty = float(task.losses(placed)["loss"])
    if empty <= 0:
        return ["stage 1's loss is 0 even for an empty student: the teacher's maps are dead"]
    if own < SMALL_LOSS * empty:
        return [
            f"stage 1's loss is {own:.2g} before training, {own / empty:.1g} of an empty student's:"
            " the teacher may be dead, or carry the student's own weights"
        ]
    return []


def warn(doubts: list[str]) -> None:
    """Tell doubts on standard error."""
    console = plain_console(stderr=True)
    for doubt in doubts:
        console.print(Text("warning:", "bold yellow"), doubt)


def _held_out_maps(run: Run, part: Manifest, plain: Variant) -> tuple[float, float]:
    """MAP of teacher and plain student on held-out images."""
    with ProgressBar("teacher beside student", 2 * len(part)) as bar:
        found = teacher_probabilities(run, part, bar)
        size = plain.view_size
        own = predict(run, student_of(run, plain), part, size, bar)
    return map_of(found, part), map_of(own, part)
