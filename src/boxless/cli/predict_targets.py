"""What ``boxless predict`` may write over: its own files, and others only where it is told to."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from boxless.errors import ConfigError
from boxless.inference.drawing import is_drawn
from boxless.inference.result_files import is_result

if TYPE_CHECKING:
    from boxless.files.paths import AnyPath


def refuse_to_replace(
    out: "AnyPath | None", pictures: Mapping[str, Path], *, overwrite: bool
) -> None:
    """Look at everything that is about to be written, before any of it is.

    Args:
        out: File of predictions.
        pictures: Files of annotated pictures by image.
        overwrite: Files that boxless did not write may be replaced too, but no image of `pictures`.

    Raises:
        ConfigError: One of the files is there already and boxless did not write it, or is an image
            that is about to be labelled.
    """
    hint = "name another place, or give --overwrite to replace what is there"
    if out is not None and not overwrite and out.is_file():
        with out.open("rb") as file:
            if not is_result(file):
                raise ConfigError(f"--out {out} is a file that boxless did not write", hint=hint)
    there = [path for path in pictures.values() if path.exists()]
    images = {_identity(image) for image in pictures} if there else set()
    for path in there:
        if _identity(path) in images:
            raise ConfigError(
                f"the picture {path} would replace the image itself, or another that is labelled",
                hint="name another folder",
            )
        if not overwrite and not is_drawn(path):
            raise ConfigError(f"--draw: boxless did not write {path}, which is there", hint=hint)


def _identity(path: str | Path) -> tuple[int, int] | str:
    """What two names of one file share; the name itself where there is no such file."""
    try:
        found = os.stat(path)  # noqa: PTH116  (a URL is no Path)
    except (OSError, ValueError):
        return str(path)
    return found.st_dev, found.st_ino
