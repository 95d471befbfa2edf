"""The steps of a run: which sections each reads, which steps it needs, and what it does."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from boxless.methods.section import Excerpt, Read, Section
from boxless.methods.table import FIRST_PHASES, METHODS
from boxless.recipe.recipe_files import flat
from boxless.recipe.schema import Recipe
from boxless.runs.context import Run
from boxless.runs.phases import (
    MAPS,
    MORE_MAPS,
    Phase,
    budget_settings,
    kept_levels,
    map_steps,
    phases_of,
)
from boxless.runs.record import Settings
from boxless.runs.variant import variants

Action = Callable[[Run, Path], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a run.

    Attributes:
        name: Folder below the run's.
        verb: What `--force` and the command line call it.
        settings: Dotted values its result depends on; see `settings_of`.
        needs: Names of the steps whose results it reads.
        action: Does it.
        cheap: Done again without asking when its inputs changed.
        trains: All processes of a run work on it together; the first does any other by itself.
        phase: The phase of a student that it trains, if any.
    """

    name: str
    verb: str
    settings: Settings
    needs: tuple[str, ...]
    action: Action
    cheap: bool = False
    trains: bool = False
    phase: Phase | None = None

    @property
    def kind(self) -> str:
        """What it does: ``features`` or ``student`` for phases, else its verb."""
        if self.phase is None:
            return self.verb
        return "student" if self.phase.last else "features"


def settings_of(recipe: Recipe, *reads: Read) -> Settings:
    """Sections of a recipe, or excerpts of them, as dotted values."""
    places = dict(_sections(recipe, ""))
    found: Settings = {}
    for read in reads:
        section = read.section if isinstance(read, Excerpt) else read
        whole = section.model_dump(mode="json")
        names = read.values if isinstance(read, Excerpt) else whole
        found |= flat({name: whole[name] for name in names}, places[id(section)])
    if found.get("data.image_cache") != "sized":  # the others give the same pixels
        found.pop("data.image_cache", None)
    for name in ("data.single_positive", "stage1.components"):
        if not found.get(name):  # runs from before it are the same without
            found.pop(name, None)
    return found


def _sections(section: Section, place: str) -> Iterator[tuple[int, str]]:
    yield id(section), place
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from _sections(value, f"{place}.{name}" if place else name)


AFTER_TRAINING: Final = ("evaluate", "calibrate", "locate", "export", "report")
VERBS: Final = tuple(
    dict.fromkeys(
        ("proposals", "maps", "teacher", "cache", *FIRST_PHASES, *METHODS, *AFTER_TRAINING)
    )
)
"""A phase before the tags is called by its transfers, a student by its method."""


def plan(run: Run) -> list[Step]:
    """All steps of a run, in order."""
    phases = _phases(run.recipe)
    steps = [*_shared_steps(run), *(_phase_step(run.recipe, phase) for phase in phases)]
    trained = tuple(dict.fromkeys(phase.folder for phase in phases if phase.last))
    measured = ("evaluate", "calibrate", "locate")
    steps += [
        _cheap("evaluate", "teacher", *trained, "cache"),
        _cheap("calibrate", "evaluate"),
        _cheap("locate", "evaluate"),
        # Raised whenever the file's format changes, so that finished runs export again.
        _cheap("export", *measured, format=3),
    ]
    report = _report(tuple(step.name for step in steps))
    return [*steps, Step("report", "report", {}, (*measured, "export"), report, cheap=True)]


def _phases(recipe: Recipe) -> list[Phase]:
    """Phases of all students, each step once: methods share the phases they begin with."""
    found: dict[str, Phase] = {}
    for variant in variants(recipe):
        for phase in phases_of(recipe, variant):
            found.setdefault(phase.folder, phase)
    return list(found.values())


def _shared_steps(run: Run) -> list[Step]:
    recipe = run.recipe
    frozen = recipe.teacher.trainable == "head"
    computing = ("precision",) if frozen else ("precision", "compile")
    teacher = settings_of(recipe, recipe.data, recipe.teacher, recipe.run.only("seed", *computing))
    cache = settings_of(
        recipe,
        recipe.stage1.objectness,
        recipe.stage2.only("class_temperature", "region_temperature"),
        recipe.teaching.only("region_weight"),
        *_untagged(recipe),
    )
    proposals = Step(
        "proposals", "proposals", _proposal_settings(recipe), (), action_of("proposals")
    )
    maps = [_maps_step(recipe, name) for name in (MAPS, MORE_MAPS) if kept_levels(recipe, name)]
    kept = tuple(step.name for step in maps if step.name == MAPS)
    needs = (*(("proposals",) if run.proposes else ()), *(kept if frozen else ()))
    updates = recipe.teacher.kind == "wsddn"  # the other teachers are one process's work
    training = Step("teacher", "teacher", teacher, needs, action_of("teacher"), trains=updates)
    keeping = Step("cache", "cache", cache, ("teacher", *kept), action_of("cache"))
    proposing = [proposals] if run.proposes else []
    return [*proposing, *((*maps, training) if frozen else (training, *maps)), keeping]


def _proposal_settings(recipe: Recipe) -> Settings:
    """All settings of the section but those of methods that are not used."""
    config = recipe.proposals
    others = {"file": ("file", "outside"), "faster_rcnn": ("detector",)}
    unused = tuple(name for other in others if other != config.method for name in others[other])
    names = [name for name in type(config).model_fields if not name.startswith(unused)]
    return settings_of(recipe, config.only(*names), recipe.data.only("skip_bad"))


def _untagged(recipe: Recipe) -> list[Read]:
    """What decides which untagged images are left out, where there are some to look at."""
    return [recipe.run.only("leaks")] if recipe.data.untagged else []


def _maps_step(recipe: Recipe, name: str) -> Step:
    teacher = recipe.teacher
    network = ("backbone", "weights", "input_size", "fold_norms", "pixel_scheme")
    moments, precision = recipe.stage1.only("match_statistics"), recipe.run.only("precision")
    tags = {"tags", "tags_seed", "single_positive"}  # whatever they are, the maps are the same
    data = recipe.data.only(*sorted(set(type(recipe.data).model_fields) - tags))
    reads = [data, teacher.only(*network), moments, precision, *_untagged(recipe)]
    settings = settings_of(recipe, *reads) | {"levels": list(kept_levels(recipe, name))}

    def action(run: Run, folder: Path) -> dict[str, Any]:
        from boxless.runs.maps import keep_maps  # noqa: PLC0415

        return keep_maps(run, folder, kept_levels(run.recipe, name))

    return Step(name, "maps", settings, () if teacher.trainable == "head" else ("teacher",), action)


def _phase_step(recipe: Recipe, phase: Phase) -> Step:
    """The one way that any phase of any method becomes a step."""
    computing = recipe.run.only("precision", "compile")
    reads = [recipe.data, recipe.student, computing, phase.optim, *phase.reads]
    reads += _untagged(recipe)
    if recipe.data.pools and phase.needs.teacher and phase.needs.tags:
        reads.append(recipe.stage2.only("tagged_share"))
    settings = settings_of(recipe, *reads)
    settings |= phase.variant.settings | budget_settings(recipe, phase)
    needs: list[str] = []
    if phase.needs.levels or phase.needs.regions or phase.needs.along:
        needs.append("teacher")
    if phase.needs.predictions or phase.needs.regions:
        needs.append("cache")
    needs += map_steps(recipe, phase.needs.levels)
    needs += [phase.start] if phase.start else []

    def action(run: Run, folder: Path) -> dict[str, Any]:
        from boxless.runs.teacher_check import check_teacher  # noqa: PLC0415
        from boxless.runs.train_phase import train_phase  # noqa: PLC0415

        return check_teacher(run, folder, phase) | train_phase(run, folder, phase)

    return Step(phase.folder, phase.verb, settings, tuple(needs), action, trains=True, phase=phase)


# What a verb does, as module and function: they import torch and friends, the plan alone must not.
ACTIONS: Final = {
    "proposals": ("proposal_step", "extract_proposals"),
    "teacher": ("teacher_steps", "train_teacher"),
    "cache": ("teacher_steps", "cache_teacher"),
    "evaluate": ("evaluation", "evaluate"),
    "calibrate": ("calibration_step", "calibrate"),
    "locate": ("location_step", "locate_variants"),
    "export": ("export", "export_student"),
}


def action_of(verb: str) -> Action:
    """What a verb of `ACTIONS` does; nothing is imported before it is called."""
    module, function = ACTIONS[verb]

    def action(run: Run, folder: Path) -> dict[str, Any]:
        found: Action = getattr(import_module(f"boxless.runs.{module}"), function)
        return found(run, folder)

    return action


def _cheap(verb: str, *needs: str, **settings: Any) -> Step:
    """A step after training, which is done again without asking."""
    return Step(verb, verb, settings, needs, action_of(verb), cheap=True)


def _report(steps: tuple[str, ...]) -> Action:
    def action(run: Run, folder: Path) -> dict[str, Any]:
        from boxless.runs.reporting import write_results  # noqa: PLC0415

        del folder  # both files belong to the run, not to the step
        return write_results(run, steps)

    return action
