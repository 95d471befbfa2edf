"""One process a folder: a second command on the same step or store is refused.

The lock is on the folder itself, so it leaves no file behind, and the operating system releases it
when its process ends, however it ends: there are no stale locks. Different steps of one run folder
may be worked on at the same time.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from boxless.errors import RunError
from boxless.files.paths import AnyPath, RemotePath, require_local

try:
    import fcntl
except ImportError:  # not a POSIX system: no locks
    fcntl = None  # type: ignore[assignment]


@contextmanager
def held(folder: AnyPath, *, patience: float = 0) -> Iterator[None]:
    """Keep other processes off a folder, which is made; stores of objects have no locks.

    Args:
        folder: A step's or a store's.
        patience: Seconds to wait for another process that holds it.

    Raises:
        ConfigError: It is an address where that will not do.
        RunError: Another process holds it, or the folder cannot be made.
    """
    if isinstance(folder, RemotePath):
        yield
        return
    require_local(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        opened = os.open(folder, os.O_RDONLY) if fcntl is not None else -1
    except OSError as error:
        raise RunError(
            f"cannot make or open the folder {folder}: {error.strerror}",
            hint="free some space or make the folder writable, then run the same command again:"
            " finished work is kept",
        ) from error
    if fcntl is None:
        yield
        return
    try:
        try:
            _take(opened, patience)
        except BlockingIOError as error:
            raise RunError(
                f"{folder} is being worked on by another process",
                hint="wait until that has ended, or stop it; the same command then resumes",
            ) from error
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(opened)


def _take(opened: int, patience: float) -> None:
    end = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                raise
            time.sleep(0.1)
        else:
            return
