"""Open a file so that people see how far a long reading has come."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from boxless.files.console import plain_console

if TYPE_CHECKING:
    from rich.console import Console

LARGE: Final = 30_000_000  # bytes; smaller files are read in a few seconds
SECONDS_BETWEEN_LINES: Final = 10.0


@contextmanager
def watched(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading from its start to its end; only ``read`` is to be called.

    A large file shows a bar with rate and remaining time on a terminal, else a line every ten
    seconds, both on stderr.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        if size < LARGE:
            yield stream
            return
        console = plain_console(stderr=True)
        if console.is_terminal:
            with _bar(stream, path, size, console) as shown:
                yield shown
        else:
            yield cast("BinaryIO", _Lines(stream, f"reading {path.name}", size, console))


@contextmanager
def _bar(stream: BinaryIO, path: Path, size: int, console: "Console") -> Iterator[BinaryIO]:
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    title = TextColumn(f"reading {path.name}", markup=False)
    with Progress(title, *columns, console=console, transient=True) as progress:
        yield progress.wrap_file(stream, total=size)


class _Lines:
    """Passes ``read`` on and says now and then how much has been read."""

    def __init__(self, stream: BinaryIO, title: str, size: int, console: "Console") -> None:
        self._stream, self._title, self._size, self._console = stream, title, size, console
        self._done = 0
        self._start = self._last = time.monotonic()

    def read(self, count: int = -1, /) -> bytes:
        """The next bytes of the file."""
        piece = self._stream.read(count)
        self._done += len(piece)
        now = time.monotonic()
        if now - self._last >= SECONDS_BETWEEN_LINES and self._done:
            self._last = now
            rate = self._done / (now - self._start)
            left = (self._size - self._done) / rate
            self._console.print(
                f"{self._title}: {self._done / 1e6:.0f} of {self._size / 1e6:.0f} MB,"
                f" {rate / 1e6:.1f} MB/s, {left:.0f} s left",
            )
        return piece
