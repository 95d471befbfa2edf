"""The teacher's steps: its training by updates, fit or file, and the cache of what it says."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from boxless.data.manifest import Manifest
from boxless.data.teacher_table import read_teacher_table
from boxless.files.progress import ProgressBar
from boxless.files.seals import require_whole, write_sealed
from boxless.losses.tag_loss import detector_loss
from boxless.models.backbone import Backbone
from boxless.models.class_maps import ClassMaps
from boxless.models.detector import Detector
from boxless.runs import build
from boxless.runs.context import Run
from boxless.runs.held_out import held_out_loss
from boxless.runs.maps import own_maps, runtime_of
from boxless.training.batches import PREDICT_BATCH, Batch, whole_batches
from boxless.training.class_map_fit import fit_class_maps
from boxless.training.events import WEIGHTS
from boxless.training.loop import seed_everything, train
from boxless.training.map_store import remove_damaged
from boxless.training.sharded import SHARD, write_shards
from boxless.training.teacher_cache import UNSEEN, KnowledgeShards, shard_path
from boxless.types import Float32Array

FOLDS = 5
"""Folds of the choice of a penalty where the teacher is not cross-fitted."""
CELL_IMAGES = 2000
"""Tagged images up to which single cells are tried beside the other parts: 26 MB at 320 px take
100 of them, and the fit grows with them."""
LAYER_IMAGES = 4096
"""Images at most that a layer for comparison is fitted to."""
LEAST = 1e-6
"""Probabilities are kept this far from 0 and 1 before they are softened."""

Facts = dict[str, Any]


def fit_teacher(run: Run, folder: Path) -> Facts:
    """Fit class maps to the tags of the training images."""
    config = run.recipe.teacher
    seed_everything(run.recipe.run.seed)
    model = build.class_maps(config, len(run.classes))
    run.runtime.place(model)
    vectors = image_vectors(run, model)
    labels, folds = torch.tensor(run.train.labels), _folds(run)
    wanted = len(run.train) <= CELL_IMAGES or model.parts == ("cells",)
    cells = image_cells(run, model) if "cells" in model.parts and wanted else None
    found = fit_class_maps(model.cpu(), vectors, labels, folds, config.ridges, cells)
    write_sealed(folder / WEIGHTS, save(model.heads.state_dict()))
    own = found.mean_average_precision(labels)
    first = next(iter(model.widths.values()))
    plain = own
    if model.parts != ("means",):
        means = vectors[:, :first] if model.parts[0] == "means" else None
        plain = whole_image_map(run, model.backbone, means)
    return {
        "parameters": build.parameters(model.backbone) + build.parameters(model.heads[0]),
        "images": len(run.train),
        "ridge": found.ridge,
        "cells": bool(cast("nn.Linear", model.heads[0]).weight[:, vectors.shape[1] :].any()),
        "unseen_map": own,
        "whole_image_map": plain,
    }


def whole_image_map(run: Run, trunk: Backbone, means: Tensor | None = None) -> float:
    """MAP on unseen training images of a linear layer on the pooled map, which any teacher can be.

    Of many images it is fitted to some, evenly spread, so that memory does not grow with all.

    Args:
        run: The run.
        trunk: The teacher's frozen backbone.
        means: (M, C) pooled maps of the training images, if they are known.
    """
    config, rows = run.recipe.teacher, _layer_rows(len(run.train))
    labels, folds = torch.tensor(run.train.labels)[rows], _folds(run)[rows]
    layer = ClassMaps(trunk, len(run.classes), level=config.level, parts=("means",))
    run.runtime.place(layer)
    vectors = image_vectors(run, layer, rows) if means is None else means[rows]
    found = fit_class_maps(layer.cpu(), vectors, labels, folds, config.ridges)
    return found.mean_average_precision(labels)


def _layer_rows(images: int) -> Tensor:
    """Images that a layer for comparison is fitted to."""
    return torch.arange(0, images, -(-images // LAYER_IMAGES))


@torch.no_grad()
def image_vectors(run: Run, model: ClassMaps, rows: Tensor | None = None) -> Tensor:
    """Vectors (M, D) of the training images with tags, or of some of them."""
    return torch.cat([model.vectors(maps).cpu() for maps in _tagged_maps(run, model, rows)])


@torch.no_grad()
def image_cells(run: Run, model: ClassMaps) -> Tensor:
    """Features (M, C, P) float16 of the cells of the training images with tags."""
    return torch.cat([maps.flatten(2).half().cpu() for maps in _tagged_maps(run, model)])


def _tagged_maps(run: Run, model: ClassMaps, rows: Tensor | None = None) -> Iterator[Tensor]:
    """Maps (N, C, h, w) of all training images with tags, from kept ones if there are any."""
    level, maps = model.level, own_maps(run)
    device, wanted = run.runtime.device, torch.arange(len(run.train)) if rows is None else rows
    model.eval()
    with ProgressBar("class maps", len(wanted)) as bar:
        if maps is not None:
            for few in torch.split(wanted, PREDICT_BATCH):
                found = maps.maps(few, torch.zeros(len(few), dtype=torch.bool), level)
                yield found.to(device)
                bar.advance(len(few))
            return
        size = run.recipe.teacher.input_size
        dataset, named = run.dataset(run.train), wanted.tolist()
        for batch in whole_batches(dataset, size=size, batch_size=PREDICT_BATCH, rows=named):
            with run.runtime.autocast():
                seen = model.maps(batch.pixels.to(device).float(), (level,))[level]
            yield seen
            bar.advance(len(batch.index))


def _folds(run: Run) -> Tensor:
    """(M,) fold of each training image; those of cross-fitting, if there is any."""
    if run.folds is not None:
        return torch.from_numpy(run.folds)
    count = min(FOLDS, len({record.group or record.image_id for record in run.train.records}))
    return torch.from_numpy(run.train.folds(count, seed=run.recipe.data.seed))


def take_teacher_file(run: Run, folder: Path) -> Facts:
    """Copy what the recipe's file says of all images of the run; tags are not looked at."""
    table = read_teacher_table(Path(run.recipe.teacher.file))
    parts = {"pool": run.pool, "test": run.test}
    parts |= {"held_out": run.held_out} if run.held_out else {}
    found = {
        name: torch.from_numpy(table.of(part.records, run.classes)) for name, part in parts.items()
    }
    write_sealed(folder / WEIGHTS, save(found))
    return {"parameters": 0, "images": len(run.pool)}


def filed_probabilities(run: Run, part: Manifest) -> Float32Array:
    """Probabilities (M, K) of a part of the data, as `take_teacher_file` left them."""
    names = {id(run.pool): "pool", id(run.test): "test", id(run.held_out): "held_out"}
    path = run.folder / "teacher" / WEIGHTS
    require_whole(path)
    found: Float32Array = load_file(path)[names[id(part)]].numpy()
    return found


def cache_teacher_file(run: Run, folder: Path) -> Facts:
    """The cache of a teacher that is a file: it knows no regions."""
    whole = torch.from_numpy(filed_probabilities(run, run.pool))
    temperature = run.recipe.stage2.class_temperature
    folder.mkdir(parents=True, exist_ok=True)
    for number, rows in enumerate(
        np.array_split(np.arange(len(whole)), range(SHARD, len(whole), SHARD))
    ):
        own = whole[rows]
        softened = (own.clamp(LEAST, 1 - LEAST).logit() / temperature).sigmoid()
        tables = {"targets": softened, "probabilities": own, "seen": own.clone()}
        tables["objectness"] = torch.zeros(len(rows), 0)
        write_sealed(shard_path(folder, number), save(tables))
    return {}


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
        path_of, workers = partial(shard_path, folder), recipe.run.workers
        write_shards(dataset, path_of, work, engine=engine, advance=bar.advance, workers=workers)
    return {"rebuilt": len(damaged)}
