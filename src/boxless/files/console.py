"""Terminals as boxless writes to them: what comes from outside is never markup."""

import io
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def plain_console(*, stderr: bool = False) -> "Console":
    """A console that prints text as it is; styles are given as `rich.text.Text` or ``style=``.

    Args:
        stderr: Print there instead of on stdout.

    Returns:
        A console without markup, emoji codes, highlighting and line breaks of its own.
    """
    from rich.console import Console  # noqa: PLC0415  (most files are small: watched_file.py)

    return Console(stderr=stderr, markup=False, emoji=False, highlight=False, soft_wrap=True)


def escape_what_streams_lack() -> None:
    """Write signs that the encoding of stdout or stderr lacks as escapes, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
