"""Write a file in one step: readers see the old content or the new one, never half of it."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from boxless.errors import RunError
from boxless.files.paths import AnyPath, RemotePath, require_local


def write_atomically(path: AnyPath, data: bytes) -> None:
    """Replace a file in one step: temporary file in the same folder, flushed to disk, renamed.

    Args:
        path: Target, a file or an object; its folder is made.
        data: Content.

    Raises:
        RunError: The disk is full, or the folder or store cannot be written; nothing was changed.
        ConfigError: It is the address of an object where that will not do.
    """
    with replacing(path, expected=len(data)) as file:
        file.write(data)


@contextlib.contextmanager
def replacing(
    path: AnyPath, *, expected: int | None = None, make_folder: bool = True
) -> Iterator[BinaryIO]:
    """Write a file piece by piece; it replaces the old one when the block ends without an error.

    Args:
        path: Target; an object is written to a temporary file first, a device or pipe directly.
        expected: Bytes that will be written, for the message, where that is known.
        make_folder: Make its folder. Without, a folder that has vanished, as with a network drive,
            is not made again somewhere else.

    Raises:
        RunError: The disk is full, or the folder or store cannot be written; nothing was changed.
        ConfigError: It is the address of an object where that will not do.
    """
    if isinstance(path, RemotePath):
        with tempfile.TemporaryDirectory(prefix="boxless-") as folder:
            copy = Path(folder) / path.name
            with copy.open("wb") as file:
                yield file
            path.replace_with(copy)
        return
    require_local(path)
    if _is_stream(path):
        with path.open("wb") as file:
            yield file
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        if make_folder:
            path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        size = "" if expected is None else f" ({expected:,} bytes)"
        if not make_folder and not path.parent.is_dir():
            raise RunError(
                f"cannot write {path}: its folder has vanished{size}",
                hint="if it lies on a drive that is gone, bring that back and run the same command"
                " again: finished work is kept",
            ) from error
        raise RunError(
            f"cannot write {path}: {error.strerror or error}{size}",
            hint="free some space or make the folder writable, then run the same command again:"
            " finished work is kept",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _is_stream(path: Path) -> bool:
    """Whether a name stands for a device, a pipe or an open file, which are written to as they are.

    Renaming a file to ``/dev/null`` would take the device away from everybody.
    """
    special = path.exists() and not path.is_file() and not path.is_dir()
    return special or str(path).startswith(("/dev/fd/", "/dev/std", "/proc/"))
