"""Which of the teacher's feature maps a run computes once and keeps, and in which step."""

from collections.abc import Iterable
from typing import Final

from boxless.methods.table import transfers
from boxless.recipe.schema import Recipe

MAPS: Final = "maps"
"""Step that keeps the maps of the teacher's own level and of the recipe's own method."""
MORE_MAPS: Final = "maps-compared"
"""Step that keeps those which compared methods look at beside; a method can be added later."""


def kept_levels(recipe: Recipe, step: str) -> tuple[str, ...]:
    """Levels that a step keeps; empty where the run has no such step.

    Args:
        recipe: All settings.
        step: `MAPS` or `MORE_MAPS`.
    """
    if recipe.stage1.along or recipe.teacher.kind == "file":
        return ()
    own = _levels(recipe, (recipe.method,))
    main: tuple[str, ...] = ()
    if own or recipe.teacher.trainable == "head":
        main = tuple(dict.fromkeys((recipe.teacher.level, *own)))
    if step == MAPS:
        return main
    return tuple(level for level in _levels(recipe, recipe.distilling) if level not in main)


def map_steps(recipe: Recipe, levels: Iterable[str]) -> list[str]:
    """The steps that keep some of these levels."""
    wanted = set(levels)
    return [step for step in (MAPS, MORE_MAPS) if wanted.intersection(kept_levels(recipe, step))]


def _levels(recipe: Recipe, methods: Iterable[str]) -> tuple[str, ...]:
    """Levels that methods look at."""
    needs = (transfer.needs for transfer in transfers(recipe, methods))
    return tuple(dict.fromkeys(level for need in needs for level in need.levels))
