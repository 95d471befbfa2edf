"""Ctrl-C reaches every process of a terminal's group at once; here it can be made to wait."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interrupts_wait() -> Iterator[None]:
    """Hold Ctrl-C back, and for good from processes that begin meanwhile, unless they ask for it.

    In the first moments of a process it would print a traceback of what was just imported.
    """
    if not hasattr(signal, "pthread_sigmask"):  # not a POSIX system
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
