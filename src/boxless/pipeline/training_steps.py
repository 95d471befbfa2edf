"""The steps that train: teacher, teacher cache, baseline, stage 1, stage 2.

Each takes the run, the folder of the step and (for students) the seed, writes its result into the
folder and returns facts worth keeping in the step's record.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save

from boxless.atomic import write_atomically
from boxless.config import OptimConfig
from boxless.data.manifest import Manifest
from boxless.distill.statistics import match_moments, watch
from boxless.distill.tag_loss import detector_loss, tag_loss
from boxless.errors import ConfigError
from boxless.models.backbone import Backbone
from boxless.models.classifier import Classifier
from boxless.models.detector import Detector
from boxless.models.folding import last_convolution
from boxless.pipeline import build
from boxless.pipeline.context import Run
from boxless.training.batches import Batch, whole_batches
from boxless.training.events import StepProgress
from boxless.training.files import WEIGHTS
from boxless.training.loop import Task, seed_everything, train
from boxless.training.map_store import MapStore, build_map_store, remove_damaged
from boxless.training.tasks import RegionTask, TargetsOf, VectorTask
from boxless.training.teacher_cache import TeacherCache, build_teacher_cache

Facts = dict[str, Any]

PREDICT_BATCH = 32
MOMENT_IMAGES = 256
MOMENTS = "moments.safetensors"


def keep_maps(run: Run, folder: Path, teacher_weights: Path | None) -> Facts:
    """Compute the teacher's feature maps of all training images once."""
    recipe = run.recipe
    if teacher_weights is None:
        trunk = build.backbone(recipe.teacher).eval()
    else:
        trunk = build.trained_detector(recipe, len(run.classes), teacher_weights).backbone
    run.runtime.place(trunk)
    damaged = remove_damaged(folder, "*.safetensors")
    dataset, size = run.dataset(run.train), recipe.teacher.input_size
    with StepProgress("teacher maps", len(run.train)) as bar:
        build_map_store(
            trunk,
            dataset,
            folder,
            size=size,
            levels=build.kept_levels(recipe),
            runtime=run.runtime,
            advance=bar.advance,
        )
    if recipe.stage1.match_statistics:
        mean, deviation = _moments(run, trunk, size)
        write_atomically(folder / MOMENTS, save({"mean": mean, "deviation": deviation}))
    return {"rebuilt": len(damaged)}


def _moments(run: Run, trunk: Backbone, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Moments of the final convolution over the first training images."""
    rows = range(min(MOMENT_IMAGES, len(run.train)))
    dataset = run.dataset(run.train)
    batches = whole_batches(dataset, size=size, batch_size=PREDICT_BATCH, rows=rows)
    device = run.runtime.device
    inputs = (trunk.normalize(batch.pixels.to(device).float()) for batch in batches)
    return watch(trunk, last_convolution(trunk), inputs)


def train_teacher(run: Run, folder: Path) -> Facts:
    """Train the detector on tags."""
    recipe, config = run.recipe, run.recipe.teacher
    seed_everything(recipe.run.seed)
    model = build.detector(recipe, len(run.classes))
    folds = None if run.folds is None else torch.from_numpy(run.folds)
    maps = _maps(run) if build.trains_on_maps(recipe) else None
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
    return {
        "seconds": progress.seconds,
        "updates": progress.update,
        "parameters": parameters(model.backbone) + parameters(model.heads[0]),
    }


def _teacher_loss(run: Run, model: Detector) -> Callable[[], float]:
    """A function that measures the teacher's tag loss on the held-out part of train."""
    config, part = run.recipe.teacher, run.held_out

    def loss_of(batch: Batch) -> torch.Tensor:
        (output,) = model(batch.pixels.float(), batch.boxes, batch.scores, batch.mask)
        return detector_loss(output.image_probabilities().float(), batch.labels)

    return _held_out_loss(run, model, part, config.input_size, config.regions, loss_of)


def _student_loss(run: Run, model: Classifier, size: int) -> Callable[[], float]:
    """A function that measures the student's tag loss on the held-out part of train."""

    def loss_of(batch: Batch) -> torch.Tensor:
        return tag_loss(model(batch.pixels.float()).float(), batch.labels)

    return _held_out_loss(run, model, run.held_out, size, 0, loss_of)


def _held_out_loss(
    run: Run,
    model: torch.nn.Module,
    part: Manifest | None,
    size: int,
    regions: int,
    loss_of: Callable[[Batch], torch.Tensor],
) -> Callable[[], float]:
    if part is None:
        raise ConfigError(
            "schedule = 'plateau' watches held-out images, but data.held_out is 0",
            hint="set data.held_out to 0.1, or schedule to 'cosine'",
        )
    dataset = run.dataset(part, regions=regions)

    @torch.no_grad()
    def measure() -> float:
        model.eval()
        total = 0.0
        workers = run.recipe.run.workers
        for batch in whole_batches(dataset, size=size, batch_size=PREDICT_BATCH, workers=workers):
            total += float(loss_of(batch.to(run.runtime.device))) * len(batch.index)
        return total / len(part)

    return measure


def _maps(run: Run) -> MapStore | None:
    """The run's kept maps, if it keeps any."""
    if not build.keeps_maps(run.recipe):
        return None
    return MapStore(run.folder / "maps", len(run.train))


def cache_teacher(run: Run, folder: Path, teacher_weights: Path) -> Facts:
    """Run the teacher over the training images and keep what it knows."""
    recipe = run.recipe
    model = build.teaching_detector(recipe, len(run.classes), teacher_weights)
    run.runtime.place(model)
    damaged = remove_damaged(folder, "*.safetensors")
    with StepProgress("teacher cache", len(run.train)) as bar:
        build_teacher_cache(
            model,
            run.dataset(run.train, regions=recipe.teacher.regions),
            folder,
            size=recipe.teacher.input_size,
            maps=_maps(run),
            folds=None if run.folds is None else torch.from_numpy(run.folds),
            knowledge=build.knowledge(recipe),
            runtime=run.runtime,
            advance=bar.advance,
        )
    return {"rebuilt": len(damaged)}


def train_baseline(run: Run, folder: Path, seed: int, size: int) -> Facts:
    """Train the plain student."""
    optim = run.recipe.baseline_optim()
    seed_everything(seed)
    model = build.student(run.recipe, len(run.classes), size)
    run.runtime.place(model)
    task = build.baseline_task(optim, model)
    updates = build.distillation_updates(run.recipe, run.dataset(run.train))
    return _train_student(run, folder, seed, size, optim, task, model, updates)


def train_stage1(run: Run, folder: Path, seed: int, teacher: Path, cache: Path) -> Facts:
    """Feature-level transfer: regions of the student's maps towards the teacher's."""
    recipe, config = run.recipe, run.recipe.stage1
    seed_everything(seed)
    model = build.student(recipe, len(run.classes))
    detector = build.teaching_detector(recipe, len(run.classes), teacher)
    run.runtime.place(model)
    run.runtime.place(detector)
    maps = _maps(run)
    objectness = TeacherCache(cache, len(run.train)).objectness
    task = build.region_task(recipe, model, detector, objectness, maps)
    run.runtime.place(task.module)
    if config.match_statistics:
        wanted = load_file(run.folder / "maps" / MOMENTS)
        own = _moments(run, model.backbone.eval(), recipe.student.input_size)
        conv = last_convolution(model.backbone)
        match_moments(conv, own, (wanted["mean"], wanted["deviation"]))
    dataset = run.dataset(run.train, regions=config.regions)
    if isinstance(task, RegionTask) and config.adapter_start == "ridge":
        batches = whole_batches(dataset, size=build.stage1_size(recipe), batch_size=PREDICT_BATCH)
        placed = (batch.to(run.runtime.device) for batch in batches)
        task.start_adapters(placed, ridge=config.adapter_ridge)
    progress = train(
        task,
        build.stream(
            dataset,
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
        validate=_region_loss(run, task, detector) if config.optim.schedule == "plateau" else None,
    )
    return {"seconds": progress.seconds, "updates": progress.update}


def _region_loss(
    run: Run, task: RegionTask | VectorTask, detector: Detector
) -> Callable[[], float]:
    """A function that measures stage 1's loss on the held-out part of train."""
    recipe = run.recipe
    weigh = build.knowledge(recipe).objectness

    def loss_of(batch: Batch) -> torch.Tensor:
        detector.eval()
        if isinstance(task, VectorTask):
            return task.losses(batch)["loss"]
        (output,) = detector(batch.pixels.float(), batch.boxes, batch.scores, batch.mask)
        weights = weigh(output.region_scores().float(), batch)
        return task.weighted_losses(batch, weights)["loss"]

    size, regions = build.stage1_size(recipe), recipe.stage1.regions
    return _held_out_loss(run, task.module, run.held_out, size, regions, loss_of)


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
    targets: torch.Tensor | TargetsOf
    online = recipe.teaching.predictions == "online"
    if online:
        detector = build.teaching_detector(recipe, len(run.classes), teacher)
        run.runtime.place(detector)
        targets = build.online_targets(recipe, detector)
    else:
        targets = TeacherCache(cache, len(run.train)).targets
    task = build.stage2_task(recipe, model, len(run.classes), targets)
    run.runtime.place(task.module)
    size, regions = recipe.student.input_size, recipe.teacher.regions if online else 0
    return _train_student(
        run, folder, seed, size, recipe.stage2.optim, task, model, regions=regions
    )


def _train_student(  # noqa: PLR0913, PLR0917  (private; what the three callers differ in)
    run: Run,
    folder: Path,
    seed: int,
    size: int,
    optim: OptimConfig,
    task: Task,
    model: Classifier,
    updates: int | None = None,
    regions: int = 0,
) -> Facts:
    recipe = run.recipe
    size = build.student_view(recipe, size)
    progress = train(
        task,
        build.stream(
            run.dataset(run.train, regions=regions),
            optim,
            sizes=(size,),
            seed=seed,
            workers=recipe.run.workers,
        ),
        replace(build.optim_settings(optim), updates=updates),
        folder=folder,
        runtime=run.runtime,
        title=f"{folder.parent.name} seed {seed}",
        checkpoint_seconds=recipe.run.checkpoint_seconds,
        validate=_student_loss(run, model, size) if optim.schedule == "plateau" else None,
    )
    return {
        "seconds": progress.seconds,
        "updates": progress.update,
        "parameters": parameters(model),
    }


def parameters(module: torch.nn.Module) -> int:
    """Number of parameters of a module."""
    return sum(p.numel() for p in module.parameters())


def weights_of(folder: Path) -> Path:
    """Weights file of a finished step."""
    return folder / WEIGHTS
