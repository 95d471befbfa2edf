"""Progress of one step on the terminal, and of the whole work that it is a part of.

Bars know one step alone. Who carries out the steps says with `step_of` where they stand; bars put
that in front of their title, and behind it the time that is left in all.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from boxless.files.console import plain_console


@dataclass(frozen=True, slots=True)
class Overall:
    """A step among all of them.

    Attributes:
        place: Its number, from 1.
        count: How many steps there are.
        own: Seconds that it is expected to take; None = not known.
        later: Seconds of all steps after it; None = not known.
        began: When it began, of `time.monotonic`.
    """

    place: int
    count: int
    own: float | None = None
    later: float | None = None
    began: float = field(default_factory=time.monotonic)

    def __str__(self) -> str:
        return f"[{self.place}/{self.count}]"

    def left(self, step: float | None = None) -> float | None:
        """Seconds until all is done; None where nobody knows.

        Args:
            step: What a bar of this step still needs, which may be one of several.
        """
        expected = None if self.own is None else self.own - (time.monotonic() - self.began)
        known = [seconds for seconds in (expected, step) if seconds is not None]
        return None if self.later is None or not known else max(0.0, *known) + self.later


_running: Overall | None = None


@contextmanager
def step_of(overall: Overall) -> Iterator[None]:
    """Let bars within a block know which step they belong to."""
    global _running  # noqa: PLW0603  (bars are made deep below, by what knows no run)
    before, _running = _running, overall
    try:
        yield
    finally:
        _running = before


def titled(title: str) -> str:
    """A title with the step's number in front, where steps are counted."""
    return title if _running is None else f"{_running} {title}"


def left_in_all(step: float | None = None) -> str:
    """What to put behind a line, such as ``, about 6 min left in all``; empty where not known.

    Args:
        step: As of `Overall.left`.
    """
    seconds = None if _running is None else _running.left(step)
    return "" if seconds is None else f", about {roughly(seconds)} left in all"


def roughly(seconds: float) -> str:
    """Time as an estimate deserves it: ``20 s``, ``6 min``, ``1 h 40 min``, ``26 h``.

    Args:
        seconds: At least 0.
    """
    if seconds < 90:
        return f"{max(10, round(seconds, -1)):.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, rest = divmod(round(minutes, -1), 60)
    return f"{hours} h" + (f" {rest} min" if rest and hours < 10 else "")


SECONDS_BETWEEN_LINES: Final = 30.0
SECONDS_BETWEEN_NOTES: Final = 0.25


class ProgressBar:
    """A bar on a terminal, else a line every half minute, of a step also after each quarter.

    Both are on stderr. Use as a context manager, and call it with the units done so far and in all,
    or `advance`.

    Args:
        title: Text in front.
        total: Units of work in all, where they are known before the first call.
        done: Units that were done before.
        per: How many images (or what else) a unit stands for, of which the rate is shown.
        unit: What these are.
        show: Whether to show anything.
    """

    def __init__(
        self,
        title: str,
        total: int = 0,
        *,
        done: int = 0,
        per: int = 1,
        unit: str = "images",
        show: bool = True,
    ) -> None:
        self._console = plain_console(stderr=True)
        self._title, self._total = titled(title), total
        self._per, self._unit, self._is_step = per, unit, _running is not None
        self._lines = show and not self._console.is_terminal
        self._bar = Progress(
            TextColumn("{task.description:<18}", markup=False),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", style="dim", markup=False),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
            disable=self._lines or not show,
        )
        self._task = self._bar.add_task(self._title, total=total or None, completed=done, note="")
        self._begin(done)

    def _begin(self, done: int) -> None:
        self._before = self._done = done
        self._start = self._seen = time.monotonic()
        self._quarter = done + max(1, self._total // 4)

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

    def __call__(self, done: int, total: int) -> None:
        """Show how many units are done; those of the first call were done in earlier runs."""
        if not self._total:
            self._total = total
            self._begin(done)
            self._bar.update(self._task, total=total, completed=done)
        self.advance(done - self._done)

    def advance(self, count: int = 1, note: Callable[[], str] = str) -> None:
        """Count work done.

        Args:
            count: Units.
            note: Makes a short remark such as the loss; asked only when it will be seen, as a
                number on a GPU has to be waited for.
        """
        self._done += count
        now = time.monotonic()
        if not self._bar.disable:
            self._bar.update(self._task, completed=self._done)
            if now - self._seen >= SECONDS_BETWEEN_NOTES:
                self._seen = now
                self._bar.update(self._task, note=self._told(note()))
        elif self._lines and count:
            quarter = self._is_step and self._done >= self._quarter
            if quarter or now - self._seen >= SECONDS_BETWEEN_LINES:
                self._seen, self._quarter = now, self._done + max(1, self._total // 4)
                done = f"{self._title}: {self._done}/{self._total}"
                self._console.print(self._told(done, note()))

    def _told(self, *parts: str) -> str:
        """Some remarks, the rate, and the time that is left in all by this bar's pace."""
        rate = f"{self.rate * self._per:.1f} {self._unit}/s" if self.rate else ""
        left = (self._total - self._done) / self.rate if self.rate else None
        return ", ".join(filter(None, (*parts, rate))) + left_in_all(left)

    @property
    def new(self) -> int:
        """Units done since the first call, so without those of earlier runs."""
        return self._done - self._before

    @property
    def rate(self) -> float:
        """New units per second, so far."""
        elapsed = time.monotonic() - self._start
        return self.new / elapsed if elapsed > 0 else 0.0
