"""One step of a run, and which settings it depends on."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boxless.runs.context import Run
from boxless.runs.record import Settings
from boxless.recipe.recipe_files import dotted

Action = Callable[[Run, Path], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a run.

    Attributes:
        name: Folder below the run's.
        verb: What `--force` and the command line call it.
        settings: Dotted values its result depends on.
        needs: Names of the steps whose results it reads.
        action: Does it.
        cheap: Done again without asking when its inputs changed.
        trains: All processes of a run work on it together; the first does any other by itself.
    """

    name: str
    verb: str
    settings: Settings
    needs: tuple[str, ...]
    action: Action
    cheap: bool = False
    trains: bool = False


def pick(run: Run, *prefixes: str) -> Settings:
    """The dotted settings that begin with one of the prefixes and may change a result."""
    found = {k: v for k, v in dotted(run.recipe).items() if k.startswith(prefixes)}
    if found.get("data.image_cache") != "sized":  # the others give the same pixels
        found.pop("data.image_cache", None)
    if found.get("run.compile") == "no":  # as in runs made before there was such a setting
        del found["run.compile"]
    return found
