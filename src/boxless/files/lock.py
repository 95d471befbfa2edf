"""One process a folder: a second command on the same step or store is told who is at work.

The lock is on the folder itself, so it leaves no file behind, and the operating system releases it
when its process ends, however it ends: there are no stale locks. Different steps of one run folder
may be worked on at the same time.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from boxless.errors import RunError
from boxless.files.paths import AnyPath, RemotePath, require_local

try:
    import fcntl
except ImportError:  # not a POSIX system: no locks
    fcntl = None  # type: ignore[assignment]


@contextmanager
def held(folder: AnyPath, *, patience: float = 0) -> Iterator[None]:
    """Keep other processes off a folder.

    Args:
        folder: A step's or a store's; made if it does not exist. Stores of objects have no locks.
        patience: Seconds to wait for another process that holds it.

    Raises:
        ConfigError: It is an address where that will not do.
        RunError: Another process holds it, and is named where the system tells; or the folder
            cannot be made.
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
                f"{folder} is being worked on by another process{_who(opened)}",
                hint="wait until that has ended, or stop it; the same command then goes on",
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


def _who(opened: int) -> str:
    """Number and command of the holder, as far as the system tells: Linux does, of its own."""
    try:
        facts = os.fstat(opened)
        # 7: FLOCK ADVISORY WRITE 1234 fd:01:5678 0 EOF, see proc_locks(5)
        for line in Path("/proc/locks").read_text("ascii").splitlines():
            words = line.split()
            if words[1] != "FLOCK" or words[5].rpartition(":")[2] != str(facts.st_ino):
                continue
            if _device(words[5]) == facts.st_dev and int(words[4]) > 0:
                return f": {int(words[4])}{_command(words[4])}"
    except (OSError, ValueError, IndexError):
        pass
    return ""


def _device(place: str) -> int:
    major, minor, _ = place.split(":")
    return os.makedev(int(major, 16), int(minor, 16))


def _command(process: str) -> str:
    try:
        words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return ""
    return f" ({b' '.join(words).decode('utf-8', 'replace').strip()[:120]})"
