"""The steps that train: teacher, teacher cache, baseline, stage 2.

Each takes the run, the folder of the step and (for students) the seed, writes its result into the
folder and returns facts worth keeping in the step's record.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from boxless.recipe.schema import OptimConfig
from boxless.data.manifest import Manifest
from boxless.losses.tag_loss import detector_loss, tag_loss
from boxless.errors import ConfigError
from boxless.models.classifier import Classifier
from boxless.models.detector import Detector
from boxless.runs import build
from boxless.runs.context import Run
from boxless.runs.map_keeping import run_maps, runtime_of
from boxless.training.batches import PREDICT_BATCH, Batch, whole_batches
from boxless.training.events import StepProgress
from boxless.training.files import WEIGHTS
from boxless.training.loop import Task, seed_everything, train
from boxless.training.map_store import remove_damaged
from boxless.training.tasks import TargetsOf
from boxless.training.teacher_cache import KnowledgeShards, TeacherCache, build_teacher_cache

Facts = dict[str, Any]


def train_teacher(run: Run, folder: Path) -> Facts:
    """Train the detector on tags."""
    recipe, config = run.recipe, run.recipe.teacher
    seed_everything(recipe.run.seed)
    model = build.detector(recipe, len(run.classes))
    folds = None if run.folds is None else torch.from_numpy(run.folds)
    maps = run_maps(run) if build.trains_on_maps(recipe) else None
    task = build.teacher_task(recipe, model, folds, maps)
    run.runtime.place(model)
    # With kept maps the pixels are not looked at: fetch the smallest views there are.
    sizes = (1,) if maps is not None else build.teacher_sizes(recipe)
    progress = train(
        task,
        build.stream(
            run.dataset(run.train, regions=config.regions),
            config.optim,
            sizes=sizes,
            seed=recipe.run.seed,
            workers=recipe.run.workers,
        ),
        build.optim_settings(config.optim),
        folder=folder,
        runtime=run.runtime,
        title="teacher",
        checkpoint_seconds=recipe.run.checkpoint_seconds,
        validate=_teacher_loss(run, model) if config.optim.schedule == "plateau" else None,
    )
    count = parameters(model.backbone) + parameters(model.heads[0])
    return progress.facts | {"parameters": count}


def _teacher_loss(run: Run, model: Detector) -> Callable[[], float]:
    """A function that measures the teacher's tag loss on the held-out part of train."""
    config, part = run.recipe.teacher, run.held_out

    def loss_of(batch: Batch) -> torch.Tensor:
        (output,) = model(batch.pixels.float(), batch.boxes, batch.scores, batch.mask)
        return detector_loss(output.image_probabilities().float(), batch.labels)

    return held_out_loss(run, model, part, config.input_size, config.regions, loss_of)


def _student_loss(run: Run, model: Classifier, size: int) -> Callable[[], float]:
    """A function that measures the student's tag loss on the held-out part of train."""

    def loss_of(batch: Batch) -> torch.Tensor:
        return tag_loss(model(batch.pixels.float()).float(), batch.labels)

    return held_out_loss(run, model, run.held_out, size, 0, loss_of)


def held_out_loss(
    run: Run,
    model: torch.nn.Module,
    part: Manifest | None,
    size: int,
    regions: int,
    loss_of: Callable[[Batch], torch.Tensor],
) -> Callable[[], float]:
    """A function that measures a loss on the held-out part of train.

    Args:
        run: The run.
        model: Put into evaluation mode before.
        part: Held-out images.
        size: Input side.
        regions: Regions an image.
        loss_of: Loss of a batch, its mean over images.

    Raises:
        ConfigError: Nothing is held out.
    """
    if part is None:
        raise ConfigError(
            "schedule = 'plateau' watches held-out images, but data.held_out is 0",
            hint="set data.held_out to 0.1, or schedule to 'cosine'",
        )
    dataset, images = run.dataset(part, regions=regions), len(part)
    rows = run.runtime.processes.part(range(images))

    @torch.no_grad()
    def measure() -> float:
        model.eval()
        total = 0.0
        workers = run.recipe.run.workers
        for batch in whole_batches(
            dataset, size=size, batch_size=PREDICT_BATCH, rows=rows, workers=workers
        ):
            total += float(loss_of(batch.to(run.runtime.device))) * len(batch.index)
        return run.runtime.total(total) / images

    return measure


def cache_teacher(run: Run, folder: Path, teacher_weights: Path) -> Facts:
    """Run the teacher over the training images and keep what it knows."""
    recipe = run.recipe
    model = build.teaching_detector(recipe, len(run.classes), teacher_weights)
    damaged = remove_damaged(folder, "*.safetensors")
    dataset = run.dataset(run.train, regions=recipe.teacher.regions)
    folds = None if run.folds is None else torch.from_numpy(run.folds)
    knowledge, size = build.knowledge(recipe), recipe.teacher.input_size
    with run.engine() as engine, StepProgress("teacher cache", len(run.train)) as bar:
        runtime = runtime_of(run, engine)
        work = KnowledgeShards(model, size, run_maps(run), folds, knowledge, runtime)
        build_teacher_cache(dataset, folder, work, engine=engine, advance=bar.advance)
    return {"rebuilt": len(damaged)}


def train_baseline(run: Run, folder: Path, seed: int, size: int) -> Facts:
    """Train the plain student."""
    optim = run.recipe.baseline_optim()
    seed_everything(seed)
    model = build.student(run.recipe, len(run.classes), size)
    run.runtime.place(model)
    task = build.baseline_task(optim, model)
    updates = build.distillation_updates(run.recipe, run.dataset(run.train))
    course = Course(f"{folder.parent.name} seed {seed}", seed, size, optim, updates)
    return train_student(run, folder, course, task, model)


def train_stage2(
    run: Run, folder: Path, seed: int, teacher: Path, cache: Path, stage1: Path | None
) -> Facts:
    """Prediction-level transfer: tags and the teacher's softened predictions."""
    recipe = run.recipe
    seed_everything(seed)
    model = build.student(recipe, len(run.classes))
    if stage1 is not None:
        build.start_from_stage1(model, stage1)
    run.runtime.place(model)
    targets, regions = teacher_targets(run, teacher, cache)
    task = build.stage2_task(recipe, model, len(run.classes), targets)
    run.runtime.place(task.module)
    title, size = f"{folder.parent.name} seed {seed}", recipe.student.input_size
    course = Course(title, seed, size, recipe.stage2.optim, regions=regions)
    return train_student(run, folder, course, task, model)


def teacher_targets(
    run: Run, teacher: Path, cache: Path, *, softened: bool = True
) -> tuple[torch.Tensor | TargetsOf, int]:
    """What the teacher predicts of images, kept or computed along.

    Args:
        run: The run.
        teacher: Its weights.
        cache: Folder of its cache.
        softened: p'^T, of class-aware distillation; False: p^T, of Hinton's.

    Returns:
        (M, K), or what computes a batch's; and how many regions an image it needs then.
    """
    recipe = run.recipe
    if recipe.teaching.predictions == "cache":
        kept = TeacherCache(cache, len(run.train))
        return (kept.targets if softened else kept.probabilities), 0
    detector = build.teaching_detector(recipe, len(run.classes), teacher)
    run.runtime.place(detector)
    return build.online_targets(recipe, detector, softened=softened), recipe.teacher.regions


@dataclass(frozen=True, slots=True)
class Course:
    """How a student is trained on tags.

    Attributes:
        title: Shown beside the progress bar.
        seed: Seed of order and views.
        size: Input side of the student.
        optim: Optimiser and schedule.
        updates: Number of updates; None = what the epochs come to.
        regions: Regions an image, where a teacher scores them along.
        view_size: Side of the views where a teacher looks at them too; None = the student's.
    """

    title: str
    seed: int
    size: int
    optim: OptimConfig
    updates: int | None = None
    regions: int = 0
    view_size: int | None = None


def train_student(run: Run, folder: Path, course: Course, task: Task, model: Classifier) -> Facts:
    """Train a student on tags, and on whatever else its task looks at.

    Args:
        run: The run.
        folder: Of the step.
        course: Seed, size and schedule.
        task: What is minimised.
        model: The student, placed.
    """
    recipe, optim = run.recipe, course.optim
    view = build.student_view(recipe, course.size)
    progress = train(
        task,
        build.stream(
            run.dataset(run.train, regions=course.regions),
            optim,
            sizes=(course.view_size or view,),
            seed=course.seed,
            workers=recipe.run.workers,
        ),
        replace(build.optim_settings(optim), updates=course.updates),
        folder=folder,
        runtime=run.runtime,
        title=course.title,
        checkpoint_seconds=recipe.run.checkpoint_seconds,
        validate=_student_loss(run, model, view) if optim.schedule == "plateau" else None,
    )
    return progress.facts | {"parameters": parameters(model)}


def parameters(module: torch.nn.Module) -> int:
    """Number of parameters of a module."""
    return sum(p.numel() for p in module.parameters())


def weights_of(folder: Path) -> Path:
    """Weights file of a finished step."""
    return folder / WEIGHTS
