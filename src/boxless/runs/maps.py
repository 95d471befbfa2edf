"""The teacher's feature maps: computed once, kept, and read again."""

from array import array
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.filesize import decimal
from safetensors.torch import save
from torch import Tensor

from boxless.data.arena import has_room
from boxless.errors import RunError
from boxless.files.console import plain_console
from boxless.files.engine import Engine
from boxless.files.progress import ProgressBar
from boxless.files.seals import write_sealed
from boxless.models.backbone import Backbone
from boxless.models.classifier import Classifier
from boxless.models.folding import last_convolution, match_moments, watch
from boxless.models.quick_maps import WORTH, QuickMaps
from boxless.models.weight_files import read_safetensors
from boxless.runs import build
from boxless.runs.context import Run
from boxless.runs.phases import MAPS, kept_levels, map_steps
from boxless.training.batches import ViewDataset, whole_batches
from boxless.training.events import WEIGHTS
from boxless.training.map_store import (
    FEW,
    LevelMaps,
    MapShards,
    MapStore,
    remove_damaged,
    shard_path,
)
from boxless.training.sharded import RuntimeOf, Shard, runtime_for, write_shards

MOMENTS = "moments.safetensors"
MOMENT_IMAGES = 256
MOMENT_BATCH = 32


def keep_maps(run: Run, folder: Path, levels: tuple[str, ...]) -> dict[str, Any]:
    """Compute the teacher's feature maps of all training images once, tagged or not.

    Returns:
        How many shards were damaged and made again.

    Raises:
        RunError: The disk has no room for them.
    """
    damaged = remove_damaged(folder, "*.safetensors")
    dataset, trunk = _dataset(run), _trunk(run)
    size = run.recipe.teacher.input_size
    with run.engine() as engine:
        quick = quick_backbone(run, levels)
        work = MapShards(trunk, size, levels, runtime_of(run, engine), quick)
        if engine is None or not engine.elsewhere:
            _announce(run, folder, work)
        with ProgressBar("teacher maps", len(run.pool)) as bar:
            path_of, workers = partial(shard_path, folder), run.recipe.run.workers
            write_shards(
                dataset, path_of, work, engine=engine, advance=bar.advance, workers=workers
            )
    if run.recipe.stage1.match_statistics:
        run.runtime.place(trunk)
        mean, deviation = _moments(run, trunk, size)
        write_sealed(folder / MOMENTS, save({"mean": mean, "deviation": deviation}))
    return {"rebuilt": len(damaged)}


def takes_quick(run: Run) -> bool:
    """Whether ONNX Runtime is worth it: a frozen teacher of known weights, a CPU, images enough."""
    teacher, here = run.recipe.teacher, run.runtime.device.type == "cpu"
    known = teacher.trainable == "head" and teacher.weights != "random"
    enough = len(run.pool) + len(run.test) >= WORTH
    return known and here and run.recipe.run.precision == "no" and enough


def quick_backbone(run: Run, levels: tuple[str, ...]) -> QuickMaps | None:
    """What computes a frozen teacher's maps, if it is worth it and the network can be exported."""
    if not takes_quick(run):
        return None
    try:
        return build.quick_backbone(run.recipe.teacher, levels)
    except Exception as error:  # the exporter has dozens of its own
        reason = " ".join(str(error).split())[:200]
        told = f"note: PyTorch computes the teacher's maps, ONNX Runtime cannot ({reason})"
        plain_console(stderr=True).print(told)
        return None


def runtime_of(run: Run, engine: Engine | None) -> RuntimeOf:
    """Where an engine's workers compute."""
    config = run.recipe.run
    return runtime_for(engine, run.runtime, precision=config.precision, threads=config.threads)


def match_statistics(run: Run, student: Classifier, size: int, step: str) -> None:
    """Give a student's last convolution the teacher's mean and deviation per channel."""
    wanted = read_safetensors(run.folder / step / MOMENTS)
    trunk = student.backbone
    own = _moments(run, trunk.eval(), size)
    match_moments(last_convolution(trunk), own, (wanted["mean"], wanted["deviation"]))


def _moments(run: Run, trunk: Backbone, size: int) -> tuple[Tensor, Tensor]:
    """Mean and deviation of the final convolution's channels over the first training images."""
    rows = range(min(MOMENT_IMAGES, len(run.pool)))
    dataset = _dataset(run)
    batches = whole_batches(dataset, size=size, batch_size=MOMENT_BATCH, rows=rows)
    device = run.runtime.device
    inputs = (trunk.normalize(batch.pixels.to(device).float()) for batch in batches)
    return watch(trunk, last_convolution(trunk), inputs)


def own_maps(run: Run) -> MapStore | None:
    """The maps of the step ``maps``, which hold the teacher's own level; None without it."""
    return _store(run, MAPS) if kept_levels(run.recipe, MAPS) else None


def maps_for(run: Run, levels: tuple[str, ...]) -> LevelMaps | None:
    """Kept maps of some levels; None = the teacher runs along."""
    stores: dict[str, MapStore] = {}
    for step in map_steps(run.recipe, levels):
        store, kept = _store(run, step), kept_levels(run.recipe, step)
        stores |= dict.fromkeys((level for level in levels if level in kept), store)
    return LevelMaps(stores) if stores else None


def _store(run: Run, step: str) -> MapStore:
    order = _order(run)
    return MapStore(run.folder / step, len(order), array("q", np.argsort(order).tolist()))


def _dataset(run: Run) -> ViewDataset:
    """The pool in the order of the data set: whoever has tags, its maps are the same."""
    records = tuple(run.pool.records[row] for row in _order(run))
    return run.dataset(replace(run.pool, records=records))


def _order(run: Run) -> list[int]:
    """Rows of the pool in the order of the data set."""
    places = {image_id: place for place, image_id in enumerate(run.manifest.image_ids)}
    ids = run.pool.image_ids
    return sorted(range(len(ids)), key=lambda row: places[ids[row]])


def _trunk(run: Run) -> Backbone:
    """The teacher's backbone, in evaluation mode."""
    recipe = run.recipe
    if recipe.teacher.trainable == "head":
        return build.backbone(recipe.teacher).eval()
    weights = run.folder / "teacher" / WEIGHTS
    return build.trained_teacher(recipe, len(run.classes), weights).backbone


def _announce(run: Run, folder: Path, work: MapShards) -> None:
    """Say what the maps will take, after a look at two, and refuse where there is no room."""
    rows = tuple(range(min(FEW, len(run.pool))))
    few = Shard(rows, _dataset(run).part(rows))
    each = sum(found.nbytes for found in work.maps(few).values()) // len(rows)
    images = len(run.pool)
    told = f"{images:,} images x {decimal(each)} = {decimal(images * each)} in {folder}"
    done = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    left = max(0, images * each - done)
    if left and not has_room(folder, left):
        raise RunError(
            f"no room for the teacher's maps: {told}",
            hint="free disk space, or let the teacher run along with --stage1.teacher_maps online",
        )
    plain_console(stderr=True).print(f"teacher maps: {told}")
