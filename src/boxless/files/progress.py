"""Progress over images on the terminal, with rate and remaining time."""

import time
from types import TracebackType
from typing import Self

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from boxless.files.console import plain_console
from boxless.files.overall import left_in_all, titled

SECONDS_BETWEEN_LINES = 30.0


class ProgressBar:
    """The frame of progress bars: shown within a block, on stderr, on a terminal alone.

    Args:
        *columns: Of the bar.
        show: Whether to show anything.
    """

    def __init__(self, *columns: ProgressColumn, show: bool = True) -> None:
        self._console = plain_console(stderr=True)
        hidden = not (show and self._console.is_terminal)
        self._bar = Progress(*columns, console=self._console, disable=hidden)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()


class ImageProgress(ProgressBar):
    """A bar on a terminal, else a line every half minute; both on stderr.

    Use as a context manager, and call it with the images done so far and in all, or `advance`.

    Args:
        title: Text in front.
        total: Images in all, where they are known before the first call.
        show: Whether to show anything.
    """

    def __init__(self, title: str, total: int = 0, *, show: bool = True) -> None:
        super().__init__(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[whole]}"),
            show=show,
        )
        self._title, self._total, self._show = titled(title), total, show
        self._task = self._bar.add_task(self._title, total=total or None, rate="", whole="")
        self._before: int | None = None
        self._done = 0
        self._start = self._line = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        """Show how many images are done, including those of earlier runs."""
        now = time.monotonic()
        if self._before is None:
            self._before, self._start, self._line = done, now, now
        self._done = done
        pace = f"{self.rate:.1f} images/s" if self.rate else ""
        left = (total - done) / self.rate if self.rate > 0 else None
        whole = left_in_all(left)
        self._bar.update(
            self._task, completed=done, total=total, rate=pace, whole=whole.removeprefix(", ")
        )
        late = now - self._line >= SECONDS_BETWEEN_LINES
        if self._show and self._bar.disable and late and left is not None:
            self._line = now
            line = f"{self._title}: {done} of {total}, {pace}, {left:.0f} s left{whole}"
            self._console.print(line)

    def advance(self) -> None:
        """Count one image more."""
        if self._before is None:
            self(0, self._total)
        self(self._done + 1, self._total)

    @property
    def new_images(self) -> int:
        """Images done since the first call, so without those of earlier runs."""
        return self._done - (self._before or 0)

    @property
    def rate(self) -> float:
        """New images per second, so far."""
        elapsed = time.monotonic() - self._start
        return self.new_images / elapsed if elapsed > 0 else 0.0
