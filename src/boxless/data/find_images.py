"""Images of a folder or of a pattern, on this machine or in a store of objects."""

import glob
from pathlib import Path

from boxless.errors import DataError
from boxless.files.paths import AnyPath, RemotePath, is_url

SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".avif")
)
"""Files of a folder that count as images."""


def find_images(folder: AnyPath) -> list[AnyPath]:
    """Images of a folder and the folders below it, sorted; hidden files are left out.

    Args:
        folder: Searched to the bottom; of this machine, or in a store of objects.

    Raises:
        DataError: There are none.
        RunError: A store refuses, or cannot be reached.
    """
    files: list[RemotePath] | list[Path]
    if isinstance(folder, RemotePath):
        files = folder.files_below()
    else:
        files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    found = [file for file in files if _is_image(file) and not file.name.startswith(".")]
    if not found:
        raise DataError(f"{folder}: no image in this folder")
    return found


def match_images(pattern: str) -> list[AnyPath]:
    """Images that a pattern matches, sorted.

    Args:
        pattern: Path or URL, as of a shell: ``*``, ``?``, ``[…]``; ``**`` goes down through
            folders.

    Raises:
        DataError: There are none.
        RunError: A store refuses, or cannot be reached.
    """
    matches: list[RemotePath] | list[Path]
    if is_url(pattern):
        matches = RemotePath(pattern).matches()
    else:
        names = glob.glob(pattern, recursive=True)  # noqa: PTH207  (absolute patterns too)
        matches = [path for path in sorted(map(Path, names)) if path.is_file()]
    found = [path for path in matches if _is_image(path)]
    if not found:
        raise DataError(f"{pattern}: no image matches")
    return found


def _is_image(path: AnyPath) -> bool:
    return path.suffix.lower() in SUFFIXES
