"""The phase of a compared method that looks at the tags; the same budget as the plain student."""

from pathlib import Path
from typing import Any

from boxless.methods.table import METHODS, Method
from boxless.models.classifier import Classifier
from boxless.runs import build, build_methods
from boxless.runs.context import Run
from boxless.runs.levels import feature_levels
from boxless.runs.map_keeping import maps_for
from boxless.runs.training_steps import (
    Course,
    teacher_targets,
    train_student,
    weights_of,
)
from boxless.training.loop import Task, seed_everything


def train_method(
    run: Run, folder: Path, seed: int, name: str, stage1: Path | None
) -> dict[str, Any]:
    """Train the student of a method.

    Args:
        run: The run.
        folder: Of the step.
        seed: Seed of the student and of its images' order, as the plain student's.
        name: Key of `METHODS`.
        stage1: Weights of its first phase, if it has one.
    """
    recipe, method = run.recipe, METHODS[name]
    seed_everything(seed)
    model = build.student(recipe, len(run.classes))
    if stage1 is not None:
        build.start_from_stage1(model, stage1)
    run.runtime.place(model)
    task, regions = _task(run, model, method)
    run.runtime.place(task.module)
    along = method.features == "attention" and recipe.stage1.teacher_maps == "online"
    course = Course(
        f"{name} seed {seed}",
        seed,
        recipe.student.input_size,
        recipe.stage2.optim,
        updates=build_methods.method_updates(recipe, run.dataset(run.train), method),
        regions=regions,
        view_size=recipe.teacher.input_size if along else None,
    )
    return train_student(run, folder, course, task, model)


def _task(run: Run, model: Classifier, method: Method) -> tuple[Task, int]:
    """What a method minimises, and how many regions an image it looks at."""
    recipe, cache, teacher = run.recipe, run.folder / "cache", weights_of(run.folder / "teacher")
    if method.features == "attention":
        return _attention(run, model), 0
    match method.predictions:
        case "none":
            return build.baseline_task(recipe.stage2.optim, model), 0
        case "hinton":
            targets, regions = teacher_targets(run, teacher, cache, softened=False)
            return build_methods.hinton_task(recipe, model, targets), regions
        case "class-aware":
            targets, regions = teacher_targets(run, teacher, cache)
            return build.stage2_task(recipe, model, len(run.classes), targets), regions


def _attention(run: Run, model: Classifier) -> Task:
    recipe = run.recipe
    teacher = build.trained_detector(recipe, len(run.classes), weights_of(run.folder / "teacher"))
    run.runtime.place(teacher)
    maps = maps_for(run, feature_levels(recipe, "attention"))
    return build_methods.attention_task(recipe, model, teacher, maps)
