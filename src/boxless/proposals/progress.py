"""Progress of an extraction on the terminal, with rate and remaining time."""

import sys
import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from rich.progress import Task

SECONDS_BETWEEN_LINES = 30.0


class _Rate(ProgressColumn):
    """Images a second."""

    def render(self, task: "Task") -> Text:
        return Text(f"{task.speed:.1f} images/s" if task.speed else "", style="progress.data.speed")


class ExtractionProgress:
    """Shows `extract` at work: a bar on a terminal, else a line every half minute, on stderr.

    Use as a context manager and hand it to `extract` as ``progress``.

    Args:
        title: Text in front.
        console: Where to show it; stderr by default.
    """

    def __init__(self, title: str, console: Console | None = None) -> None:
        self._title = title
        self._console = console or Console(file=sys.stderr)
        self._bar = Progress(
            TextColumn(title),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task(title, total=None)
        self._before: int | None = None
        self._done = 0
        self._start = self._line = time.monotonic()

    def __enter__(self) -> "Self":
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: "TracebackType | None",
    ) -> None:
        self._bar.stop()

    def __call__(self, done: int, total: int) -> None:
        """Show how many images are done, including those of earlier runs."""
        now = time.monotonic()
        if self._before is None:
            self._before, self._start, self._line = done, now, now
        self._done = done
        self._bar.update(self._task, completed=done, total=total)
        if self._bar.disable and now - self._line >= SECONDS_BETWEEN_LINES and self.rate > 0:
            self._line = now
            left = (total - done) / self.rate
            self._console.print(
                f"{self._title}: {done} of {total}, {self.rate:.1f} images/s, {left:.0f} s left"
            )

    @property
    def new_images(self) -> int:
        """Images done since the first call, so without those of earlier runs."""
        return self._done - (self._before or 0)

    @property
    def rate(self) -> float:
        """New images a second, so far."""
        elapsed = time.monotonic() - self._start
        return self.new_images / elapsed if elapsed > 0 else 0.0
