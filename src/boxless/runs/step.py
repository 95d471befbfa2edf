"""One step of a run, and which settings it depends on."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boxless.methods.section import Excerpt, Read, Section
from boxless.recipe.recipe_files import flat
from boxless.recipe.schema import Recipe
from boxless.runs.context import Run
from boxless.runs.phases import Phase
from boxless.runs.record import Settings

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
    if not found.get("data.single_positive"):  # runs from before it are the same without
        found.pop("data.single_positive", None)
    return found


def _sections(section: Section, place: str) -> Iterator[tuple[int, str]]:
    yield id(section), place
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from _sections(value, f"{place}.{name}" if place else name)
