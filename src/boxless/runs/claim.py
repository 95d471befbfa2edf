"""Which folder a run may write into: a new or empty one, or its own."""

from pathlib import Path
from typing import Final

from boxless.errors import RunError
from boxless.runs.record import NAME

MARK: Final = "# made by `boxless train`, and written anew by it"
"""Second line of a run's ``recipe.toml``, which no recipe of a user's has."""

_STEPS: Final = ("proposals", "maps", "teacher", "cache")
_BEFORE: Final = ("leaks.json", "images", "teacher-*", ".*")
"""What a run may leave before its first step, as patterns."""


def refuse_foreign_folder(folder: Path) -> None:
    """Refuse a folder that holds a user's own files and no run.

    Args:
        folder: Of the run that is to begin or to go on.

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
