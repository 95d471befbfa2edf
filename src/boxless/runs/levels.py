"""Which of the teacher's feature maps a run needs, and which it computes once and keeps."""

from typing import Literal

from boxless.recipe.schema import Recipe
from boxless.methods.table import Features
from boxless.runs.methods import compared


def keeps_maps(recipe: Recipe) -> bool:
    """Whether the teacher's maps are computed once and kept."""
    used = recipe.teacher.trainable == "head" or recipe.stage1.enabled
    return recipe.stage1.teacher_maps == "cache" and used


def kept_levels(recipe: Recipe) -> tuple[str, ...]:
    """Levels whose maps are kept: the teacher's, and those of stage 1."""
    extra = recipe.stage1.levels if recipe.stage1.enabled else ()
    return tuple(dict.fromkeys([recipe.teacher.level, *extra]))


def feature_levels(recipe: Recipe, features: Features) -> tuple[str, ...]:
    """Levels that a transfer of features looks at."""
    match features:
        case "none":
            return ()
        case "hint":
            return recipe.hint.levels or recipe.stage1.levels
        case "attention":
            return recipe.attention.levels or recipe.stage1.levels
        case "regions" | "regions-nms":
            return recipe.stage1.levels if recipe.stage1.target == "conv" else ()


def levels_beyond(recipe: Recipe, levels: tuple[str, ...]) -> tuple[str, ...]:
    """The levels that the step ``maps`` does not keep, though kept maps are wanted."""
    if recipe.stage1.teacher_maps == "online":
        return ()
    kept = kept_levels(recipe) if keeps_maps(recipe) else ()
    return tuple(level for level in levels if level not in kept)


def method_levels(recipe: Recipe) -> tuple[str, ...]:
    """Levels that the step ``methods/maps`` keeps; empty where the run has no such step."""
    wanted = [
        level
        for method in compared(recipe).values()
        for level in levels_beyond(recipe, feature_levels(recipe, method.features))
    ]
    return tuple(dict.fromkeys(wanted))


def adapter_start(recipe: Recipe, features: Features) -> Literal["random", "ridge"]:
    """How Psi, or the hint's regressor, starts."""
    if features != "hint":
        return recipe.stage1.adapter_start
    asked = recipe.hint.adapter_start
    if asked != "stage1":
        return asked
    return recipe.stage1.adapter_start if recipe.hint.adapter == "conv1x1" else "random"
