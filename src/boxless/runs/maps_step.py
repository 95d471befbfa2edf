"""The step that computes feature maps of the teacher once: for all runs, and for methods."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from boxless.recipe.schema import Recipe
from boxless.runs.context import Run
from boxless.runs.record import Settings
from boxless.runs.step import Step, pick

LevelsOf = Callable[[Recipe], tuple[str, ...]]


def maps_step(run: Run, name: str, verb: str, levels_of: LevelsOf, settings: Settings) -> Step:
    """A step that keeps maps.

    Args:
        run: The run; only its recipe is looked at.
        name: Folder below the run's.
        verb: What `--force` calls it.
        levels_of: Levels to keep.
        settings: What it depends on beside images and backbone.
    """
    common = pick(
        run,
        "data.",
        "teacher.backbone",
        "teacher.weights",
        "teacher.input_size",
        "teacher.fold_norms",
        "teacher.pixel_scheme",
        "stage1.match_statistics",
        "run.precision",
    )
    if run.recipe.run.maps_gib:
        common = common | pick(run, "run.maps_gib")
    frozen = run.recipe.teacher.trainable == "head"

    def action(run: Run, folder: Path) -> dict[str, Any]:
        from boxless.runs.map_keeping import keep_maps  # noqa: PLC0415

        return keep_maps(run, folder, levels_of(run.recipe))

    needs = () if frozen else ("teacher",)
    return Step(name, verb, common | settings, needs, action)
