"""Open a file so that people see how far a long reading has come."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, cast

if TYPE_CHECKING:
    from boxless.files.progress import ProgressBar

LARGE: Final = 30_000_000
"""Bytes; smaller files are read in a few seconds."""
MB: Final = 1_000_000


@contextmanager
def watched(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading from its start to its end; only ``read`` is to be called.

    How much of a large file has been read is shown on stderr.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        if size < LARGE:
            yield stream
            return
        from boxless.files.progress import ProgressBar  # noqa: PLC0415  (most files are small)

        with ProgressBar(f"reading {path.name}", size // MB, unit="MB") as bar:
            yield cast("BinaryIO", _Counted(stream, bar))


class _Counted:
    """Passes ``read`` on and counts what has been read."""

    def __init__(self, stream: BinaryIO, bar: "ProgressBar") -> None:
        self._stream, self._bar, self._done = stream, bar, 0

    def read(self, count: int = -1, /) -> bytes:
        """The next bytes of the file."""
        piece = self._stream.read(count)
        before, self._done = self._done // MB, self._done + len(piece)
        self._bar.advance(self._done // MB - before)
        return piece
