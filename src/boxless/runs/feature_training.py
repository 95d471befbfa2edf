"""The step that transfers features: stage 1 of the method, or a compared method's first phase."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from boxless.losses.statistics import match_moments
from boxless.methods.table import REGIONAL, Features
from boxless.models.classifier import Classifier
from boxless.models.detector import Detector
from boxless.models.folding import last_convolution
from boxless.models.weight_files import read_safetensors
from boxless.runs import build, build_methods
from boxless.runs.context import Run
from boxless.runs.levels import adapter_start, feature_levels, keeps_maps
from boxless.runs.map_keeping import MOMENTS, maps_for, moments
from boxless.runs.methods import METHOD_MAPS
from boxless.runs.teacher_check import suspicious_loss, warn
from boxless.runs.training_steps import (
    held_out_loss,
)
from boxless.training.batches import PREDICT_BATCH, Batch, ViewDataset, whole_batches
from boxless.training.events import StepProgress
from boxless.training.feature_task import FeatureTask
from boxless.training.files import CHECKPOINT
from boxless.training.loop import seed_everything, train
from boxless.training.tasks import RegionTask, VectorTask
from boxless.training.teacher_cache import TeacherCache

AnyTask = FeatureTask | VectorTask


def train_stage1(
    run: Run, folder: Path, seed: int, teacher: Path, cache: Path, features: Features
) -> dict[str, Any]:
    """Feature-level transfer: the student's maps towards the teacher's, by regions or whole.

    Args:
        run: The run.
        folder: Of the step.
        seed: Seed of the student and of its images' order.
        teacher: Weights of the teacher.
        cache: Folder of the teacher cache; its s' weight the regions.
        features: What is transferred.
    """
    recipe, config = run.recipe, run.recipe.stage1
    seed_everything(seed)
    model = build.student(recipe, len(run.classes))
    detector = build.teaching_detector(recipe, len(run.classes), teacher)
    run.runtime.place(model)
    run.runtime.place(detector)
    task = _task(run, model, detector, cache, features)
    run.runtime.place(task.module)
    dataset = run.dataset(run.train, regions=config.regions if features in REGIONAL else 0)
    if not (folder / CHECKPOINT).exists():  # which holds what has been learned since
        _start(run, model, task, dataset, features)
        if run.leads:
            warn(suspicious_loss(task, dataset, build.stage1_size(recipe, features), run))
    progress = train(
        task,
        build.stream(
            dataset,
            config.optim,
            sizes=(build.stage1_size(recipe, features),),
            seed=seed,
            workers=recipe.run.workers,
        ),
        build.optim_settings(config.optim),
        folder=folder,
        runtime=run.runtime,
        title=f"stage 1 ({features}) seed {seed}",
        checkpoint_seconds=recipe.run.checkpoint_seconds,
        validate=(
            _held_out(run, task, detector, features) if config.optim.schedule == "plateau" else None
        ),
    )
    return progress.facts


def _task(
    run: Run, model: Classifier, detector: Detector, cache: Path, features: Features
) -> AnyTask:
    """What is minimised."""
    maps = maps_for(run, feature_levels(run.recipe, features))
    if features == "hint":
        return build_methods.hint_task(run.recipe, model, detector, maps)
    weights = _region_weights(run, cache, features)
    return build.region_task(run.recipe, model, detector, weights, maps)


def _start(
    run: Run, model: Classifier, task: AnyTask, dataset: ViewDataset, features: Features
) -> None:
    """Matched statistics and a fitted Psi, where they are asked for.

    Of several processes all match, which may add a bias, and the first fits: `train` hands its
    weights on.
    """
    recipe, config = run.recipe, run.recipe.stage1
    if config.match_statistics:
        kept = "maps" if keeps_maps(recipe) else METHOD_MAPS
        wanted = read_safetensors(run.folder / kept / MOMENTS)
        own = moments(run, model.backbone.eval(), recipe.student.input_size)
        conv = last_convolution(model.backbone)
        match_moments(conv, own, (wanted["mean"], wanted["deviation"]))
    fits = isinstance(task, FeatureTask) and adapter_start(recipe, features) == "ridge"
    if isinstance(task, FeatureTask) and fits and run.leads:
        with StepProgress("fit of Psi", len(dataset)) as bar:
            task.start_adapters(
                _counted(run, dataset, build.stage1_size(recipe, features), bar),
                ridge=config.adapter_ridge,
            )


def _counted(run: Run, dataset: ViewDataset, size: int, bar: StepProgress) -> Iterator[Batch]:
    """Every image once, whole, on the run's device."""
    workers = run.recipe.run.workers
    for batch in whole_batches(dataset, size=size, batch_size=PREDICT_BATCH, workers=workers):
        yield batch.to(run.runtime.device)
        bar.advance(len(batch.index))


def _region_weights(run: Run, cache: Path, features: Features) -> torch.Tensor:
    """Weights s' (M, R) of the training regions; 0 and 1 where a method selects by NMS."""
    weights = TeacherCache(cache, len(run.train)).objectness
    config = run.recipe.stage1
    if features == "regions-nms" and config.selection == "all":
        dataset = run.dataset(run.train, regions=run.recipe.teacher.regions)
        return build_methods.selected_regions(dataset, weights, config)
    return weights


def _held_out(
    run: Run, task: AnyTask, detector: Detector, features: Features
) -> Callable[[], float]:
    """A function that measures stage 1's loss on the held-out part of train."""
    recipe = run.recipe
    weigh = build_methods.region_weigher(recipe, features)

    def loss_of(batch: Batch) -> torch.Tensor:
        detector.eval()
        if not isinstance(task, RegionTask):
            return task.losses(batch)["loss"]
        (output,) = detector(batch.pixels.float(), batch.boxes, batch.scores, batch.mask)
        weights = weigh(output.region_scores().float(), batch)
        return task.weighted_losses(batch, weights)["loss"]

    size = build.stage1_size(recipe, features)
    regions = recipe.stage1.regions if features in REGIONAL else 0
    return held_out_loss(run, task.module, run.held_out, size, regions, loss_of)
