"""The teacher's steps: its training, and the cache of what it says of the training images."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from boxless.files.progress import ProgressBar
from boxless.losses.tag_loss import detector_loss
from boxless.models.detector import Detector
from boxless.runs import build
from boxless.runs.context import Run
from boxless.runs.held_out import held_out_loss
from boxless.runs.maps import own_maps, runtime_of
from boxless.runs.teacher_fit import (
    cache_teacher_file,
    fit_teacher,
    take_teacher_file,
    whole_image_map,
)
from boxless.training.batches import Batch
from boxless.training.files import WEIGHTS
from boxless.training.loop import seed_everything, train
from boxless.training.map_store import remove_damaged
from boxless.training.sharded import write_shards
from boxless.training.teacher_cache import UNSEEN, KnowledgeShards, shard_path

Facts = dict[str, Any]


def train_teacher(run: Run, folder: Path) -> Facts:
    """Train the teacher on tags; a detector by updates, class maps and files without."""
    recipe, config = run.recipe, run.recipe.teacher
    if config.kind != "wsddn":
        return (
            fit_teacher(run, folder)
            if config.kind == "class_maps"
            else take_teacher_file(run, folder)
        )
    seed_everything(recipe.run.seed)
    model = build.detector(recipe, len(run.classes))
    folds = None if run.folds is None else torch.from_numpy(run.folds)
    maps = own_maps(run) if build.trains_on_maps(recipe) else None
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
    facts = progress.facts | {
        "parameters": build.parameters(model.backbone) + build.parameters(model.heads[0]),
        "images": progress.update * config.optim.batch_size,
    }
    if maps is not None and run.leads:  # they cost seconds then
        facts["whole_image_map"] = whole_image_map(run, model.backbone)
    return facts


def _teacher_loss(run: Run, model: Detector) -> Callable[[], float]:
    """A function that measures the teacher's tag loss on the held-out part of train."""
    config, part = run.recipe.teacher, run.held_out

    def loss_of(batch: Batch) -> torch.Tensor:
        (output,) = model(batch.pixels.float(), batch.boxes, batch.scores, batch.mask)
        return detector_loss(output.image_probabilities().float(), batch.labels)

    return held_out_loss(run, model, part, config.input_size, config.regions, loss_of)


def cache_teacher(run: Run, folder: Path) -> Facts:
    """Run the teacher over the training images, tagged or not, and keep what it knows."""
    recipe = run.recipe
    if recipe.teacher.kind == "file":
        return cache_teacher_file(run, folder)
    model = build.teaching_teacher(recipe, len(run.classes), run.folder / "teacher" / WEIGHTS)
    damaged = remove_damaged(folder, "*.safetensors")
    dataset, folds = run.dataset(run.pool, regions=recipe.teacher.regions), None
    if run.folds is not None:
        unseen = torch.full((len(run.pool) - len(run.train),), UNSEEN)
        folds = torch.cat([torch.from_numpy(run.folds), unseen])
    knowledge, size = build.knowledge(recipe), recipe.teacher.input_size
    with run.engine() as engine, ProgressBar("teacher cache", len(run.pool)) as bar:
        runtime = runtime_of(run, engine)
        work = KnowledgeShards(model, size, own_maps(run), folds, knowledge, runtime)
        path_of = partial(shard_path, folder)
        write_shards(dataset, path_of, work, engine=engine, advance=bar.advance)
    return {"rebuilt": len(damaged)}
