"""The phases of every student of a run, and which maps of the teacher are kept for them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from boxless.methods.section import Read
from boxless.methods.table import METHODS, ORACLE, PLAIN, transfers
from boxless.methods.transfer import Needs, Transfer, merged
from boxless.recipe.schema import Recipe
from boxless.recipe.sections import OptimConfig
from boxless.runs.variant import Variant

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


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase of training one student.

    Attributes:
        folder: The step that trains it, below the run's folder.
        verb: What `--force` and `--until` call that step.
        variant: The student.
        transfers: What is transferred.
        optim: Optimizer and schedule.
        start: The step of the phase before it; None = the student begins.
        last: Whether the student is finished then.
    """

    folder: str
    verb: str
    variant: Variant
    transfers: tuple[Transfer, ...]
    optim: OptimConfig
    start: str | None
    last: bool

    @property
    def needs(self) -> Needs:
        """What any of its transfers needs."""
        return merged(transfer.needs for transfer in self.transfers)

    @property
    def reads(self) -> tuple[Read, ...]:
        """Sections that its transfers read."""
        return tuple(read for transfer in self.transfers for read in transfer.reads)


def phases_of(recipe: Recipe, variant: Variant) -> list[Phase]:
    """The phases of a student, in order."""
    planned = METHODS[variant.method].phases
    phases: list[Phase] = []
    path: list[str] = []
    for place, kinds in enumerate(planned):
        last = place == len(planned) - 1
        transfers = tuple(kind.of(recipe) for kind in kinds)
        names = "+".join(transfer.name for transfer in transfers)
        path.append(names)
        phases.append(
            Phase(
                variant.folder if last else variant.features("-".join(path)),
                variant.method if last else names,
                variant,
                transfers,
                _optim(recipe, variant, last=last),
                phases[-1].folder if phases else None,
                last,
            )
        )
    return phases


def _optim(recipe: Recipe, variant: Variant, *, last: bool) -> OptimConfig:
    if not last:
        return recipe.stage1.optim
    own = recipe.baseline.optim if variant.method in (PLAIN, ORACLE) else None
    return own or recipe.stage2.optim


def updates(recipe: Recipe, phase: Phase, images: int, tagged: int) -> int:
    """Updates of a phase: every method has as many as the recipe's own, all phases together.

    A plain student with an optimizer of its own may stop earlier.

    Args:
        recipe: All settings.
        phase: The phase.
        images: Number of training images, the untagged ones among them.
        tagged: Number of those that have tags: passes over them are the epochs of a plain student
            with an optimizer of its own.
    """
    if not phase.last:
        return phase.optim.updates(images)
    before = len(METHODS[phase.variant.method].features) * recipe.stage1.optim.updates(images)
    own = len(METHODS[recipe.method].features) * recipe.stage1.optim.updates(images)
    planned = max(1, own + recipe.stage2.optim.updates(images) - before)
    if phase.variant.method != PLAIN:
        return planned
    baseline = recipe.baseline
    passes = baseline.optim.updates(tagged) if baseline.optim else planned
    return min(planned, passes, baseline.most_updates or planned)


def budget_settings(recipe: Recipe, phase: Phase) -> dict[str, float]:
    """What `updates` depends on, beside the phase's own optimizer."""
    if not phase.last:
        return {}
    own, limit = len(METHODS[recipe.method].features), dict[str, float]()
    if phase.variant.method == PLAIN and recipe.baseline.most_updates:
        limit["baseline.most_updates"] = recipe.baseline.most_updates
    if phase.optim is recipe.baseline.optim:
        second = recipe.stage2.optim
        limit["stage2.optim.epochs"] = second.epochs
        limit["stage2.optim.batch_size"] = second.batch_size
    if not own and phase.start is None:
        return limit
    first = recipe.stage1.optim
    optim = {"stage1.optim.epochs": first.epochs, "stage1.optim.batch_size": first.batch_size}
    return {**optim, "phases before the tags": own, **limit}
