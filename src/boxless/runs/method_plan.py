"""The steps that train the compared methods, beside those every run has."""

from pathlib import Path
from typing import Any, Final

from boxless.methods.table import METHODS, REGIONAL, Method
from boxless.runs.context import Run
from boxless.runs.levels import (
    adapter_start,
    feature_levels,
    keeps_maps,
    levels_beyond,
    method_levels,
)
from boxless.runs.maps_step import maps_step
from boxless.runs.methods import METHOD_MAPS, compared, first_folder, student_folder
from boxless.runs.record import Settings
from boxless.runs.step import Action, Step, pick

METHOD_VERBS: Final = ("method-maps", "hint", *METHODS)
"""A first phase is forced by the name of its transfer, a student by that of its method."""


def method_steps(run: Run) -> list[Step]:
    """Steps of all compared methods, seed after seed; empty where none was asked for.

    Args:
        run: The run; only its recipe is looked at.
    """
    steps = [_maps_step(run)] if method_levels(run.recipe) else []
    for seed in run.seeds:
        made: set[str] = {f"stage1/seed-{seed}"}  # the recipe's own first phase, planned already
        for name, method in compared(run.recipe).items():
            first = first_folder(run.recipe, method, seed)
            if first is not None and first not in made:
                steps.append(_first_phase(run, first, method, seed))
                made.add(first)
            steps.append(_student(run, name, method, seed, first))
    return steps


def _maps_step(run: Run) -> Step:
    settings: Settings = {"levels": list(method_levels(run.recipe))}
    return maps_step(run, METHOD_MAPS, "method-maps", method_levels, settings)


def _first_phase(run: Run, name: str, method: Method, seed: int) -> Step:
    features = method.features
    computing = ("run.precision", "run.compile")
    settings = pick(run, "data.", "student.", *computing, "stage1.optim.")
    if features == "hint":
        kept = ("stage1.channel_scale", "stage1.match_statistics", "stage1.teacher_maps", "hint.")
        levels = list(feature_levels(run.recipe, features))
        start = adapter_start(run.recipe, features)
        settings |= pick(run, *kept) | {"hint.levels": levels, "hint.adapter_start": start}
        settings |= pick(run, "stage1.adapter_ridge") if start == "ridge" else {}
    else:
        selection = "nms" if features == "regions-nms" else "all"
        settings |= pick(run, "stage1.", "teaching.") | {"stage1.selection": selection}
        del settings["stage1.enabled"]
    needs = ("teacher", *(("cache",) if features in REGIONAL else ()), *_maps_of(run, method))

    def action(run: Run, folder: Path) -> dict[str, Any]:
        from boxless.runs.feature_training import train_stage1  # noqa: PLC0415
        from boxless.runs.training_steps import weights_of  # noqa: PLC0415

        teacher = weights_of(run.folder / "teacher")
        return train_stage1(run, folder, seed, teacher, run.folder / "cache", features)

    return Step(name, features, {**settings, "seed": seed}, needs, action, trains=True)


def _student(run: Run, name: str, method: Method, seed: int, first: str | None) -> Step:
    computing = ("run.precision", "run.compile")
    settings = pick(run, "data.", "student.", *computing, "stage2.optim.") | _budget(run)
    needs: list[str] = []
    if method.predictions == "hinton":
        settings |= pick(run, "hinton.")
        if run.recipe.teaching.predictions == "online":
            settings |= pick(run, "teaching.")
            needs.append("teacher")
    if method.predictions == "class-aware":
        settings |= pick(run, "stage2.", "teaching.")
        needs.append("teacher")
    if method.predictions != "none":
        needs.append("cache")
    if method.features == "attention":
        levels = list(feature_levels(run.recipe, method.features))
        settings |= pick(run, "attention.", "stage1.teacher_maps") | {"attention.levels": levels}
        needs += ["teacher", *_maps_of(run, method)]
    if first is not None:
        needs.append(first)
    return Step(name=student_folder(name, seed), verb=name, settings={**settings, "seed": seed},
                needs=tuple(needs), action=_train(name, seed, first), trains=True)  # fmt: skip


def _train(name: str, seed: int, first: str | None) -> Action:
    def action(run: Run, folder: Path) -> dict[str, Any]:
        from boxless.runs.method_training import train_method  # noqa: PLC0415
        from boxless.runs.training_steps import weights_of  # noqa: PLC0415

        stage1 = None if first is None else weights_of(run.folder / first)
        return train_method(run, folder, seed, name, stage1)

    return action


def _budget(run: Run) -> Settings:
    """Settings from which a method's number of updates follows."""
    names = ("stage1.enabled", "stage1.optim.epochs", "stage1.optim.batch_size")
    return pick(run, *names, "stage2.optim.epochs", "stage2.optim.batch_size")


def _maps_of(run: Run, method: Method) -> tuple[str, ...]:
    """Names of the steps whose kept maps a method reads."""
    beyond = levels_beyond(run.recipe, feature_levels(run.recipe, method.features))
    main = ("maps",) if keeps_maps(run.recipe) else ()
    return (*main, METHOD_MAPS) if beyond else main
