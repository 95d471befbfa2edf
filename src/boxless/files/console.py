"""Terminals as boxless writes to them: what comes from outside is never markup."""

import io
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def plain_console(*, stderr: bool = False) -> "Console":
    """A console that prints text as it is; styles are given as `rich.text.Text` or ``style=``.

    Args:
        stderr: Print there instead of on stdout.

    Returns:
        A console without markup, emoji codes, highlighting and line breaks of its own.
    """
    from rich.console import Console  # noqa: PLC0415  (slow to import)

    return Console(stderr=stderr, markup=False, emoji=False, highlight=False, soft_wrap=True)


def escape_what_streams_lack() -> None:
    """Write signs that the encoding of stdout or stderr lacks as escapes, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def plain_table(*headings: str, title: str | None = None) -> "Table":
    """A table whose cells are folded where they do not fit, and never cut short.

    Args:
        headings: Of its columns; one that begins with ``>`` is aligned to the right.
        title: Text above it.
    """
    from rich.table import Table  # noqa: PLC0415

    table = Table(title=title, title_justify="left")
    for heading in headings:
        right = heading.startswith(">")
        text = heading.removeprefix(">")
        table.add_column(text, overflow="fold", justify="right" if right else "left")
    return table
