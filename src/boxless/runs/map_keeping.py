"""The teacher's feature maps: computed once and kept, as many as may be, and read again."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.filesize import decimal
from safetensors.torch import save
from torch import Tensor

from boxless.data.arena import has_room
from boxless.losses.statistics import watch
from boxless.files.engine import Engine
from boxless.errors import ConfigError, RunError
from boxless.models.backbone import Backbone
from boxless.models.folding import last_convolution
from boxless.runs import build
from boxless.runs.context import GIB, Run
from boxless.runs.levels import keeps_maps, kept_levels, levels_beyond, method_levels
from boxless.runs.methods import METHOD_MAPS
from boxless.files.seals import write_sealed
from boxless.training.batches import whole_batches
from boxless.training.events import StepProgress
from boxless.training.files import WEIGHTS
from boxless.training.informative import most_informative
from boxless.training.map_store import (
    FEW,
    LevelMaps,
    MapShards,
    MapsOfRows,
    MapStore,
    build_map_store,
    remove_damaged,
)
from boxless.training.sharded import RuntimeOf, Shard, runtime_for

MOMENTS = "moments.safetensors"
MOMENT_IMAGES = 256
MOMENT_BATCH = 32
LOOKS = 4
"""How often the time for a few maps is taken; the first are slower."""


def keep_maps(run: Run, folder: Path, levels: tuple[str, ...]) -> dict[str, Any]:
    """Compute some of the teacher's feature maps once, of all training images or of some.

    Args:
        run: The run.
        folder: Where they go.
        levels: Levels to keep.

    Returns:
        How many shards were damaged and made again, and how many images are kept.

    Raises:
        ConfigError: `run.maps_gib` has no room for one image, or other machines are to compute.
        RunError: The disk has no room for them.
    """
    damaged = remove_damaged(folder, "*.safetensors")
    dataset, trunk = run.dataset(run.train), _trunk(run)
    with run.engine() as engine:
        work = MapShards(trunk, _size(run), levels, runtime_of(run, engine))
        rows = _announced(run, folder, work, engine)
        with StepProgress("teacher maps", len(run.train) if rows is None else len(rows)) as bar:
            build_map_store(dataset, folder, work, rows=rows, engine=engine, advance=bar.advance)
    if run.recipe.stage1.match_statistics:
        run.runtime.place(trunk)
        mean, deviation = moments(run, trunk, _size(run))
        write_sealed(folder / MOMENTS, save({"mean": mean, "deviation": deviation}))
    return {"rebuilt": len(damaged), "images": len(run.train) if rows is None else len(rows)}


def runtime_of(run: Run, engine: Engine | None) -> RuntimeOf:
    """Where an engine's workers compute.

    Args:
        run: The run.
        engine: The engine; None for this process.
    """
    config = run.recipe.run
    return runtime_for(engine, run.runtime, precision=config.precision, threads=config.threads)


def moments(run: Run, trunk: Backbone, size: int) -> tuple[Tensor, Tensor]:
    """Mean and deviation of the final convolution's channels over the first training images.

    Args:
        run: The run.
        trunk: Placed and in evaluation mode.
        size: Its input side.
    """
    rows = range(min(MOMENT_IMAGES, len(run.train)))
    dataset = run.dataset(run.train)
    batches = whole_batches(dataset, size=size, batch_size=MOMENT_BATCH, rows=rows)
    device = run.runtime.device
    inputs = (trunk.normalize(batch.pixels.to(device).float()) for batch in batches)
    return watch(trunk, last_convolution(trunk), inputs)


def run_maps(run: Run) -> MapStore | None:
    """The run's kept maps, if it keeps any."""
    if not keeps_maps(run.recipe):
        return None
    return _store(run, "maps", kept_levels(run.recipe))


def maps_for(run: Run, levels: tuple[str, ...]) -> MapStore | LevelMaps | None:
    """Kept maps of some levels, from the run's or the methods' own; None = the teacher runs along.

    Args:
        run: The run.
        levels: Levels that are looked at.
    """
    main, beyond = run_maps(run), levels_beyond(run.recipe, levels)
    if not beyond:
        return main
    extra = _store(run, METHOD_MAPS, method_levels(run.recipe))
    stores = dict.fromkeys(beyond, extra)
    if main is not None:
        stores |= {level: main for level in levels if level not in beyond}
    return LevelMaps(stores)


def _store(run: Run, name: str, levels: tuple[str, ...]) -> MapStore:
    beyond = _computed_anew(run, levels) if run.recipe.run.maps_gib else None
    return MapStore(run.folder / name, len(run.train), beyond=beyond)


def _computed_anew(run: Run, levels: tuple[str, ...]) -> MapsOfRows:
    """What computes the maps of images that are not kept, as those that are were computed."""
    work = MapShards(_trunk(run), _size(run), levels, runtime_of(run, None))
    dataset = run.dataset(run.train)

    def compute(rows: Sequence[int]) -> Mapping[str, Tensor]:
        return work.maps(Shard(tuple(rows), dataset.part(rows)))

    return compute


def _trunk(run: Run) -> Backbone:
    """The teacher's backbone, in evaluation mode."""
    recipe = run.recipe
    if recipe.teacher.trainable == "head":
        return build.backbone(recipe.teacher).eval()
    weights = run.folder / "teacher" / WEIGHTS
    return build.trained_detector(recipe, len(run.classes), weights).backbone


def _size(run: Run) -> int:
    return run.recipe.teacher.input_size


def _seconds(work: MapShards, few: Shard) -> float:
    began = time.perf_counter()
    work.maps(few)
    return time.perf_counter() - began


def _announced(
    run: Run, folder: Path, work: MapShards, engine: Engine | None
) -> Sequence[int] | None:
    """Say what the maps will take, after a look at two; which images to keep, None = all."""
    if engine is not None and engine.elsewhere:
        if run.recipe.run.maps_gib:
            raise ConfigError(
                "run.maps_gib caps maps that this machine computes, but run.engine is"
                f" {run.recipe.run.engine!r}",
                hint="set run.engine to local, or run.maps_gib to 0",
            )
        return None
    rows = tuple(range(min(FEW, len(run.train))))
    few = Shard(rows, run.dataset(run.train).part(rows))
    each = sum(found.nbytes for found in work.maps(few).values()) // len(rows)
    images, most = len(run.train), int(run.recipe.run.maps_gib * GIB)
    count = min(images, most // each) if most else images
    if count == 0:
        raise ConfigError(
            f"run.maps_gib = {run.recipe.run.maps_gib:g} has no room for one image's maps, which"
            f" take {decimal(each)}",
            hint="raise it, or set stage1.teacher_maps to online",
        )
    told = f"{count:,} images x {decimal(each)} = {decimal(count * each)} in {folder}"
    done = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    left = max(0, count * each - done)
    if left and not has_room(folder, left):
        raise RunError(
            f"no room for the teacher's maps: {told}",
            hint="free disk space, cap them with --run.maps_gib N, or let the teacher run along"
            " with --stage1.teacher_maps online",
        )
    if left:
        seconds = min(_seconds(work, few) for _ in range(LOOKS)) / len(rows)
        told += f", about {max(1, round(left / each * seconds))} s"
    if count < images:
        told += f"; maps of the {images - count:,} others are computed whenever they are needed"
    Console(stderr=True).print(f"teacher maps: {told}", soft_wrap=True, highlight=False)
    return None if count == images else most_informative(run.train.labels, count).tolist()
