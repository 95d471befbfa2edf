"""One process a step: a second command on the same run folder is told that one is at work.

The lock is on the step's folder itself, so it leaves no file behind, and the operating system
releases it when its process ends, however it ends: there are no stale locks. Different steps of one
run folder may be worked on at the same time.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from boxless.errors import RunError

try:
    import fcntl
except ImportError:  # not a POSIX system: no locks
    fcntl = None  # type: ignore[assignment]


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep other processes off a step's folder.

    Args:
        folder: The step's; made if it does not exist.

    Raises:
        RunError: Another process holds it.
    """
    if fcntl is None:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    opened = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(opened)
        raise RunError(
            f"{folder} is being worked on by another process",
            hint="wait until that has ended, or stop it; the same command then goes on",
        ) from error
    except OSError:  # a file system without locks
        os.close(opened)
        yield
        return
    try:
        yield
    finally:
        os.close(opened)
