"""The one function that trains any phase of any method."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from boxless.data.manifest import Manifest
from boxless.files.progress import ProgressBar
from boxless.methods.lessons import Lessons
from boxless.methods.student_task import StudentTask
from boxless.models.classifier import Classifier
from boxless.runs import build
from boxless.runs.context import Run
from boxless.runs.held_out import held_out_loss
from boxless.runs.maps import maps_for, match_statistics
from boxless.runs.phases import Phase, map_steps, updates
from boxless.runs.teacher_check import suspicious_loss, warn
from boxless.training.batches import PREDICT_BATCH, Batch, ViewDataset, whole_batches
from boxless.training.events import CHECKPOINT, WEIGHTS
from boxless.training.head_start import start_head
from boxless.training.loop import seed_everything, train
from boxless.training.teacher_cache import TeacherCache


def train_phase(run: Run, folder: Path, phase: Phase) -> dict[str, Any]:
    """Train a student for one phase of its method, from the last checkpoint if there is one."""
    recipe, seed = run.recipe, phase.variant.seed
    seed_everything(seed)
    model = build.student(recipe, len(run.classes), phase.variant)
    if phase.start is not None:
        build.start_from(model, run.folder / phase.start / WEIGHTS)
    run.runtime.place(model)
    task = phase_task(run, phase, model)
    run.runtime.place(task.module)
    images, size = _images(run, phase), view_size(run, phase)
    dataset, tagged = run.dataset(images, regions=regions_of(run, phase)), _tagged(run, phase)
    if not (folder / CHECKPOINT).exists():  # which holds what has been learned since
        _start(run, phase, model, task, dataset)
    watched = phase.optim.schedule == "plateau"
    progress = train(
        task,
        build.stream(
            dataset,
            phase.optim,
            sizes=(size,),
            seed=seed,
            workers=recipe.run.workers,
            tagged=tagged or 0,
            tagged_share=recipe.stage2.tagged_share if tagged else 0,
        ),
        replace(
            build.optim_settings(phase.optim),
            updates=updates(recipe, phase, len(run.pool), len(run.train)),
        ),
        folder=folder,
        runtime=run.runtime,
        title=f"{phase.verb} seed {seed}",
        checkpoint_seconds=recipe.run.checkpoint_seconds,
        validate=_held_out(run, phase, task) if watched else None,
    )
    trained = {"parameters": build.parameters(model)}
    return progress.facts | trained | {"images": progress.update * phase.optim.batch_size}


def _images(run: Run, phase: Phase) -> Manifest:
    """What the phase is trained on."""
    if phase.needs.truth:
        return run.oracle
    return run.pool if phase.needs.teacher else run.train


def _tagged(run: Run, phase: Phase) -> int | None:
    """How many of its images have tags, where tags are learned and not all have some."""
    mixed = phase.needs.teacher and phase.needs.tags and len(run.pool) > len(run.train)
    return len(run.train) if mixed else None


def phase_task(run: Run, phase: Phase, model: Classifier) -> StudentTask:
    """What the phase minimizes."""
    lessons, statistics = _lessons(run, phase), phase.optim.train_norm_statistics
    terms = {one.name: one.build(model, lessons) for one in phase.transfers}
    return StudentTask(model, terms, lessons, train_norm_statistics=statistics)


def _lessons(run: Run, phase: Phase) -> Lessons:
    """The teacher's side of the phase; the teacher itself only where it is asked anything."""
    recipe = run.recipe
    lessons = Lessons(
        recipe.teacher.input_size,
        build.knowledge(recipe),
        along=recipe.teaching.along,
        dropout=recipe.teaching.dropout,
        tagged=_tagged(run, phase),
        labels=torch.tensor(_images(run, phase).labels[: _tagged(run, phase)]),
    )
    if phase.needs.levels or phase.needs.regions or phase.needs.along:
        weights = run.folder / "teacher" / WEIGHTS
        teacher = build.teaching_teacher(recipe, len(run.classes), weights)
        run.runtime.place(teacher)
        lessons = replace(lessons, teacher=teacher, maps=maps_for(run, phase.needs.levels))
    if phase.needs.predictions or phase.needs.regions:
        images = run.dataset(run.pool, regions=recipe.teacher.regions)
        kept = TeacherCache(run.folder / "cache", len(run.pool))
        lessons = replace(lessons, kept=kept, images=images)
    return lessons


def regions_of(run: Run, phase: Phase) -> int:
    """Regions per image that a batch carries: all of the teacher's where it predicts along."""
    predicts = phase.needs.predictions and phase.needs.along
    return run.recipe.teacher.regions if predicts else phase.needs.regions


def view_size(run: Run, phase: Phase) -> int:
    """Side of the views: the teacher's where it sees them too, else the student's."""
    if phase.needs.along:
        return run.recipe.teacher.input_size
    return phase.variant.views(last=phase.last)


def _start(
    run: Run, phase: Phase, model: Classifier, task: StudentTask, dataset: ViewDataset
) -> None:
    """Matched statistics and a fitted Psi where they are asked for; a look at the first loss.

    Of several processes all match, which may add a bias, and the first fits: `train` hands its
    weights on.
    """
    recipe, size = run.recipe, view_size(run, phase)
    if phase.needs.statistics:
        kept = map_steps(recipe, phase.needs.levels)[0]
        match_statistics(run, model, size, kept)
    if phase.needs.start and run.leads:
        cache = TeacherCache(run.folder / "cache", len(run.pool))
        with ProgressBar("fit of the last layer", len(dataset)) as bar:
            start_head(model, _counted(run, dataset, size, bar), cache.probabilities)
    if task.fitted and run.leads:
        with ProgressBar("fit of Psi", len(dataset)) as bar:
            task.start_adapters(_counted(run, dataset, size, bar))
    if task.adapters and run.leads:
        warn(suspicious_loss(task, dataset, size, run))


def _counted(run: Run, dataset: ViewDataset, size: int, bar: ProgressBar) -> Iterator[Batch]:
    """Every image once, whole, on the run's device."""
    workers = run.recipe.run.workers
    for batch in whole_batches(dataset, size=size, batch_size=PREDICT_BATCH, workers=workers):
        yield batch.to(run.runtime.device)
        bar.advance(len(batch.index))


def _held_out(run: Run, phase: Phase, task: StudentTask) -> Callable[[], float]:
    """A function that measures the phase's loss on the held-out part of train."""
    size = view_size(run, phase)
    regions = 0 if phase.last else phase.needs.regions
    return held_out_loss(run, task.module, run.held_out, size, regions, task.held_out_loss)
