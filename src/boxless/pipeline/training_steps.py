"""The steps that train: teacher, teacher cache, baseline, stage 1, stage 2.

Each takes the run, the folder of the step and (for students) the seed, writes its result into the
folder and returns facts worth keeping in the step's record.
"""

from pathlib import Path
from typing import Any

import torch

from boxless.config import OptimConfig
from boxless.distill.tag_loss import tag_loss
from boxless.models.classifier import Classifier
from boxless.pipeline import build
from boxless.pipeline.context import Run
from boxless.training.batches import whole_batches
from boxless.training.events import StepProgress
from boxless.training.files import WEIGHTS
from boxless.training.loop import seed_everything, train
from boxless.training.teacher_cache import TeacherCache, build_teacher_cache, remove_damaged

Facts = dict[str, Any]

PREDICT_BATCH = 32


def train_teacher(run: Run, folder: Path) -> Facts:
    """Train the detector on tags."""
    recipe, config = run.recipe, run.recipe.teacher
    seed_everything(recipe.run.seed)
    model = build.detector(recipe, len(run.classes))
    folds = None if run.folds is None else torch.from_numpy(run.folds)
    task = build.teacher_task(recipe, model, folds)
    run.runtime.place(model)
    progress = train(
        task,
        build.stream(
            run.dataset(run.train, regions=config.regions),
            config.optim,
            sizes=build.teacher_sizes(recipe),
            seed=recipe.run.seed,
            workers=recipe.run.workers,
        ),
        build.optim_settings(config.optim),
        folder=folder,
        runtime=run.runtime,
        title="teacher",
        checkpoint_seconds=recipe.run.checkpoint_seconds,
    )
    return {
        "seconds": progress.seconds,
        "updates": progress.update,
        "parameters": parameters(model),
    }


def cache_teacher(run: Run, folder: Path, teacher_weights: Path) -> Facts:
    """Run the teacher over the training images and keep what it knows."""
    recipe = run.recipe
    model = build.trained_detector(recipe, len(run.classes), teacher_weights)
    run.runtime.place(model)
    damaged = remove_damaged(folder)
    keep = recipe.stage1.enabled and recipe.stage1.teacher_maps == "cache"
    with StepProgress("teacher cache", len(run.train)) as bar:
        build_teacher_cache(
            model,
            run.dataset(run.train, regions=recipe.teacher.regions),
            folder,
            size=recipe.teacher.input_size,
            levels=recipe.stage1.levels if keep and recipe.stage1.target == "conv" else (),
            folds=None if run.folds is None else torch.from_numpy(run.folds),
            knowledge=build.knowledge(recipe),
            runtime=run.runtime,
            advance=bar.advance,
            workers=recipe.run.workers,
        )
    return {"rebuilt": len(damaged)}


def train_baseline(run: Run, folder: Path, seed: int, size: int) -> Facts:
    """Train the plain student."""
    optim = run.recipe.baseline_optim()
    seed_everything(seed)
    model = build.student(run.recipe, len(run.classes))
    run.runtime.place(model)
    return _train_student(run, folder, seed, size, optim, build.baseline_task(optim, model), model)


def train_stage1(run: Run, folder: Path, seed: int, teacher: Path, cache: Path) -> Facts:
    """Feature-level transfer: regions of the student's maps towards the teacher's."""
    recipe, config = run.recipe, run.recipe.stage1
    seed_everything(seed)
    model = build.student(recipe, len(run.classes))
    detector = build.trained_detector(recipe, len(run.classes), teacher)
    run.runtime.place(model)
    run.runtime.place(detector)
    task = build.region_task(recipe, model, detector, TeacherCache(cache, len(run.train)))
    run.runtime.place(task.module)
    progress = train(
        task,
        build.stream(
            run.dataset(run.train, regions=config.regions),
            config.optim,
            sizes=(build.stage1_size(recipe),),
            seed=seed,
            workers=recipe.run.workers,
        ),
        build.optim_settings(config.optim),
        folder=folder,
        runtime=run.runtime,
        title=f"stage 1 seed {seed}",
        checkpoint_seconds=recipe.run.checkpoint_seconds,
    )
    return {"seconds": progress.seconds, "updates": progress.update}


def train_stage2(run: Run, folder: Path, seed: int, cache: Path, stage1: Path | None) -> Facts:
    """Prediction-level transfer: tags and the teacher's softened predictions."""
    recipe = run.recipe
    seed_everything(seed)
    model = build.student(recipe, len(run.classes))
    if stage1 is not None:
        build.start_from_stage1(model, stage1)
    run.runtime.place(model)
    targets = TeacherCache(cache, len(run.train)).targets
    task = build.stage2_task(recipe, model, len(run.classes), targets)
    run.runtime.place(task.module)
    size = recipe.student.input_size
    return _train_student(run, folder, seed, size, recipe.stage2.optim, task, model)


def _train_student(
    run: Run,
    folder: Path,
    seed: int,
    size: int,
    optim: OptimConfig,
    task: Any,
    model: Classifier,
) -> Facts:
    recipe = run.recipe
    progress = train(
        task,
        build.stream(
            run.dataset(run.train), optim, sizes=(size,), seed=seed, workers=recipe.run.workers
        ),
        build.optim_settings(optim),
        folder=folder,
        runtime=run.runtime,
        title=f"{folder.parent.name} seed {seed}",
        checkpoint_seconds=recipe.run.checkpoint_seconds,
        validate=_held_out_loss(run, model, size) if optim.schedule == "plateau" else None,
    )
    return {
        "seconds": progress.seconds,
        "updates": progress.update,
        "parameters": parameters(model),
    }


def _held_out_loss(run: Run, model: Classifier, size: int) -> Any:
    """A function that measures the tag loss on the held-out part of train."""
    part = run.held_out

    @torch.no_grad()
    def measure() -> float:
        if part is None:
            return 0.0
        model.eval()
        total = 0.0
        for batch in whole_batches(run.dataset(part), size=size, batch_size=PREDICT_BATCH):
            placed = batch.to(run.runtime.device)
            loss = tag_loss(model(placed.pixels.float()).float(), placed.labels)
            total += float(loss) * len(batch.index)
        return total / len(part)

    return measure


def parameters(module: torch.nn.Module) -> int:
    """Number of parameters of a module."""
    return sum(p.numel() for p in module.parameters())


def weights_of(folder: Path) -> Path:
    """Weights file of a finished step."""
    return folder / WEIGHTS
