"""How far the whole work is, for whatever shows the progress of one of its steps.

Bars know one step alone. Who carries out the steps says with `step_of` where they stand; bars put
that in front of their title, and behind it the time that is left in all.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


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
