"""Build the networks of a recipe once before any work, so that a wrong name costs seconds."""

from collections.abc import Sequence

from boxless.errors import BoxlessError, ConfigError, DataError
from boxless.methods.table import PLAIN, transfers
from boxless.models.backbone import Backbone
from boxless.recipe.schema import Recipe
from boxless.recipe.sections import StudentConfig, TeacherConfig
from boxless.runs import build
from boxless.runs.context import Run
from boxless.runs.plan import Step
from boxless.training.compiling import require_compiler
from boxless.training.runtime import default_device
from boxless.training.tracking import available


def check_networks(run: Run, steps: Sequence[Step]) -> None:
    """Check backbones, weights and levels of the steps that are about to be done.

    Raises:
        ConfigError: A network, its weights or one of its levels does not exist, or an input side
            leaves a level with part of a cell; the section of the recipe is named.
        DataError: A teacher is to be trained on a single class.
        MissingExtraError: The tracker that was asked for is not installed.
    """
    recipe, verbs = run.recipe, {step.verb for step in steps}
    available(recipe.run.tracker)
    if recipe.run.compile == "yes":
        require_compiler(default_device(), 1 if run.processes is None else run.processes.count)
    if recipe.tags.loss == "em" and run.processes is not None and run.processes.several:
        raise ConfigError(
            "tags.loss = 'em' keeps predictions of every image, which processes do not exchange;"
            f" found {run.processes.count} of them",
            hint="train with one process, or set another tags.loss",
        )
    if "teacher" in verbs:
        _check_classes(run)
    matched = _matched_levels(recipe)
    distils = any(step.phase and step.phase.variant.method != PLAIN for step in steps)
    if distils or verbs & {"teacher", "maps", "cache"}:
        own = {"teacher.level": (recipe.teacher.level,)}
        _check("teacher", recipe.teacher, {**own, **matched})
    if any(step.phase for step in steps):
        if _compares_vectors(recipe):
            matched["teacher.level"] = (recipe.teacher.level,)
        _check("student", recipe.student, matched)


def _matched_levels(recipe: Recipe) -> dict[str, tuple[str, ...]]:
    """The levels that are matched, by the setting that names them."""
    names = {"hint": "hint.levels", "attention": "attention.levels"}
    return {
        names.get(transfer.name, "stage1.levels"): transfer.needs.levels
        for transfer in transfers(recipe, recipe.distilling)
        if transfer.needs.levels
    }


def _compares_vectors(recipe: Recipe) -> bool:
    needs = [transfer.needs for transfer in transfers(recipe, recipe.distilling)]
    return any(need.regions and not need.levels for need in needs)


def _check_classes(run: Run) -> None:
    """A detector compares the classes of a region with each other: it needs two."""
    if len(run.classes) == 1:
        raise DataError(
            f"{run.spec} has the class {run.classes[0]!r} alone, but a teacher takes a softmax over"
            " the classes of each region, which over one class is always 1",
            hint="add a class, such as one that is present where the other is not; a plain student"
            " (boxless baseline) can be trained on a single class",
        )


def _check(
    section: str,
    config: TeacherConfig | StudentConfig,
    wanted: dict[str, tuple[str, ...]],
) -> None:
    try:
        trunk = build.backbone(config)
    except ConfigError as error:
        raise ConfigError(
            f"{section}.backbone = {config.backbone!r} with {section}.weights ="
            f" {config.weights!r}: {error.message}",
            hint=error.hint or f"set {section}.weights, or {section}.backbone",
        ) from error
    build.require_fc(trunk, section, config)
    for setting, levels in wanted.items():
        _check_levels(trunk, setting, levels)
        _check_side(trunk, section, config.input_size, levels)


def _check_side(trunk: Backbone, section: str, side: int, levels: tuple[str, ...]) -> None:
    """Regions are laid on maps as if cells filled the image; a cell cut short would shift them."""
    for level in levels:
        stride = trunk.stride(level)
        if side % stride:
            lower = side // stride * stride
            near = " or ".join(str(s) for s in (lower, lower + stride) if s)
            raise ConfigError(
                f"{section}.input_size = {side} is no multiple of {stride}, the stride of the level"
                f" {level!r} of {trunk.name}",
                hint=f"set {section}.input_size to {near}",
            )


def _check_levels(trunk: Backbone, setting: str, levels: tuple[str, ...]) -> None:
    for level in levels:
        try:
            trunk.channels(level)
        except BoxlessError as error:
            raise ConfigError(
                f"{setting}: {error.message}",
                hint=f"set {setting} to levels that the network has",
            ) from error
