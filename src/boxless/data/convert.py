"""Turn any data set into a table of tags."""

import io
import os
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from boxless.data import scenes, table
from boxless.data.manifest import Manifest
from boxless.errors import DataError
from boxless.files.atomic import write_atomically
from boxless.files.paths import is_url
from boxless.types import ImageRecord


def convert(
    manifest: Manifest,
    out: Path,
    *,
    images: Path | None = None,
    on_done: Callable[[], None] | None = None,
) -> None:
    """Write a data set as ``csv:`` table, tags only.

    Image paths are written relative to the table wherever both lie on one drive, so the folder
    that holds both can be moved.

    Args:
        manifest: The data set.
        out: The table to write.
        images: Folder for the PNG files of drawn scenes; only they need it.
        on_done: Called once for each drawn image.

    Raises:
        DataError: Scenes without ``images``, or ``images`` without scenes.
        RunError: A file cannot be written.
    """
    drawn = any(record.path.startswith(scenes.PREFIX) for record in manifest.records)
    if drawn and images is None:
        raise DataError(
            "drawn scenes have no files that a table could name",
            hint="give a folder for them: --images DIR",
        )
    if images is not None and not drawn:
        raise DataError(
            f"{manifest.name}: its images are files already, the table names them where they are",
            hint="leave --images out",
        )
    folder = Path(os.path.abspath(out)).parent  # noqa: PTH100 - keeps symlinks
    paths = []
    for record in manifest.records:
        path = record.path
        if images is not None:
            path = _draw(record, images)
            if on_done is not None:
                on_done()
        paths.append(portable(path, folder))
    table.write(manifest, out, paths)


def portable(path: str, folder: Path) -> str:
    """A path relative to a folder wherever both lie on one drive, with slashes.

    Args:
        path: Absolute path; an address in a store stays as it is.
        folder: Absolute folder.
    """
    if is_url(path):
        return path
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # another drive on Windows
        return path


def _draw(record: ImageRecord, folder: Path) -> str:
    """Write one scene as PNG; the file appears complete or not at all."""
    path = Path(os.path.abspath(folder)) / f"{record.image_id}.png"  # noqa: PTH100
    encoded = io.BytesIO()
    Image.fromarray(scenes.render(record.path)).save(encoded, "png")
    write_atomically(path, encoded.getvalue())
    return str(path)
