"""Write a file in one step: readers see the old content or the new one, never half of it."""

import contextlib
import os
from pathlib import Path

from boxless.errors import RunError


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file in one step: temporary file in the same folder, flushed to disk, renamed.

    Args:
        path: Target; its folder is made.
        data: Content.

    Raises:
        RunError: The disk is full or the folder cannot be written; nothing was changed.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise RunError(
            f"cannot write {path}: {error.strerror or error} ({len(data):,} bytes)",
            hint="free some space or make the folder writable, then run the same command again:"
            " finished work is kept",
        ) from error
