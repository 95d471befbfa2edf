"""One process a step: a second command on the same run folder is told who is at work.

The operating system releases the lock when its process ends, however it ends, so there are no
stale locks to clean up. Different steps of one run folder may be worked on at the same time.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from boxless.errors import RunError

try:
    import fcntl
except ImportError:  # not a POSIX system: no locks
    fcntl = None  # type: ignore[assignment]

NAME = ".lock"


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep other processes off a step's folder.

    Args:
        folder: The step's; made if it does not exist.

    Raises:
        RunError: Another process holds it; its number and machine are named.
    """
    if fcntl is None:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    file = _locked(folder)
    try:
        yield
    finally:
        (folder / NAME).unlink(missing_ok=True)
        file.close()


def _locked(folder: Path) -> TextIO:
    """The lock file, opened and locked."""
    path = folder / NAME
    while True:
        file = path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read().strip() or "another process"
            file.close()
            raise RunError(
                f"{folder} is being worked on by {holder}",
                hint="wait until it has ended, or stop it; the same command then goes on",
            ) from error
        if path.exists() and os.fstat(file.fileno()).st_ino == path.stat().st_ino:
            break
        file.close()  # its holder has just removed it: lock the new one
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}")
    file.flush()
    return file
