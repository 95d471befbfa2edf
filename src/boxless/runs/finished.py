"""The folder of a run: whether a run may write into it, and a finished one opened again."""

from pathlib import Path
from typing import Final, Literal

from boxless.errors import RunError
from boxless.recipe.recipe_files import load_recipe
from boxless.runs.context import Run
from boxless.runs.parts import read_images
from boxless.runs.record import NAME, read_record

MARK: Final = "# made by `boxless train`, and written anew by it"
"""Second line of a run's ``recipe.toml``, which no recipe of a user's has."""

_STEPS: Final = ("proposals", "maps", "teacher", "cache")
_BEFORE: Final = ("leaks.json", "images", "teacher-*", ".*")
"""What a run may leave before its first step, as patterns."""


def refuse_foreign_folder(folder: Path) -> None:
    """Refuse a folder that holds a user's own files and no run.

    Args:
        folder: Of the run that is to begin or to resume.

    Raises:
        RunError: It does; what was found is named.
    """
    if not folder.exists() or is_run(folder):
        return
    names = sorted(p.name for p in folder.iterdir() if not any(map(p.match, _BEFORE)))
    if names:
        shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
        raise RunError(
            f"{folder} is no run folder, and not empty: it holds {shown}",
            hint="name a new or an empty folder with --out: a run replaces files of its own names",
        )


def is_run(folder: Path) -> bool:
    """Whether a folder is that of a run, begun at least."""
    recipe = folder / "recipe.toml"
    if recipe.is_file() and MARK in recipe.read_text("utf-8", errors="replace").splitlines()[1:2]:
        return True
    return any((folder / step / NAME).is_file() for step in _STEPS)


RECIPE = "recipe.toml"


_LACKING = {"evaluate": "is not evaluated yet", "cache": "has no finished teacher cache yet"}


def open_run(
    folder: Path, *, data: str | None = None, step: Literal["evaluate", "cache"] = "evaluate"
) -> Run:
    """A run that has come to a step.

    Args:
        folder: The run folder.
        data: Data set, where it lies elsewhere now; by default as the run was started.
        step: ``evaluate``: its students are evaluated; ``cache``: its teacher has described the
            training images.

    Raises:
        RunError: The folder is no run, the step is not done yet, or the data set is another one.
        DataError: The data set cannot be read.
    """
    path = folder / RECIPE
    if not path.is_file():
        raise RunError(
            f"expected the folder of a run, but {path} does not exist",
            hint="name the folder that `boxless train … --out FOLDER` was given",
        )
    record = read_record(folder / step)
    if record is None or record.status != "done":
        raise RunError(
            f"{folder} {_LACKING[step]}",
            hint="finish it with the `boxless train` command that started it",
        )
    spec = data or spec_of(path)
    recipe = load_recipe(str(path))
    manifest = read_images(spec, recipe)
    if record.inputs.get("data") != manifest.fingerprint:
        raise RunError(
            f"{spec} is not what {folder} was trained on: its images or labels differ",
            hint="name the data set with --data",
        )
    return Run(folder, spec, recipe, manifest)


def spec_of(recipe: Path) -> str:
    """The data set that a run's recipe names in its first line."""
    first = recipe.read_text("utf-8").partition("\n")[0]
    if not first.startswith("# "):
        raise RunError(f"{recipe} does not name its data set", hint="name it with --data")
    return first.removeprefix("# ")
