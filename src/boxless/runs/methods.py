"""Which methods a run compares, and where each keeps what it trains."""

from typing import Final

from boxless.recipe.schema import Recipe
from boxless.methods.table import DISTILLED, METHODS, Features, Method

METHOD_MAPS: Final = "methods/maps"
"""Step that keeps the maps which methods look at beside those of the step ``maps``."""


def own_method(recipe: Recipe) -> Method:
    """The recipe's own method, arm ``distilled``."""
    features: Features = "none"
    if recipe.stage1.enabled:
        features = "regions-nms" if recipe.stage1.selection == "nms" else "regions"
    return Method(features, "class-aware", "student with distillation")


def arm_of(recipe: Recipe, name: str) -> str:
    """Key of the arm that holds a method's results.

    A method that is the recipe's own is not trained twice: its arm is ``distilled``.

    Args:
        recipe: All settings.
        name: ``distilled`` or a key of `METHODS`.
    """
    own = name != DISTILLED and METHODS[name].equals(own_method(recipe))
    return DISTILLED if own else name


def compared(recipe: Recipe) -> dict[str, Method]:
    """Methods trained beside the recipe's own, by arm, in the order of tables."""
    asked = {arm_of(recipe, name) for name in recipe.methods}
    return {name: method for name, method in METHODS.items() if name in asked}


def same_as_own(recipe: Recipe) -> list[str]:
    """Names of the asked methods that are the recipe's own."""
    names = [name for name in recipe.methods if name != DISTILLED]
    return [name for name in names if arm_of(recipe, name) == DISTILLED]


def first_folder(recipe: Recipe, method: Method, seed: int) -> str | None:
    """Step of a method's first phase, shared by all methods that transfer the same features.

    Returns:
        The step's name, ``stage1/seed-K`` where the recipe's own method has that very phase; None
        for a method of one phase.
    """
    if not method.has_first_phase:
        return None
    if recipe.stage1.enabled and method.features == own_method(recipe).features:
        return f"stage1/seed-{seed}"
    return f"methods/{method.features}/stage1/seed-{seed}"


def student_folder(name: str, seed: int) -> str:
    """Step that trains a method's student."""
    return f"methods/{name}/stage2/seed-{seed}"
