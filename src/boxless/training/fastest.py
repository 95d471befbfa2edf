"""Which precision trains fastest, and whether compiling pays: timed on updates, then chosen.

Knows neither networks nor torch: `measure` is handed what carries out an update, `choose` looks at
numbers alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median

from boxless.errors import ConfigError

GAIN = 0.9
"""Another way must take at most this part of the plain one's time: less is noise."""
HOPELESS = 2.0
"""Times the plain update from which a way is dropped, seen twice."""
COMPILING = 10.0
"""Seconds that compiling takes at least; where less can be saved, it is not tried."""
FEWEST, MOST, ENOUGH = 3, 15, 10.0
"""Rounds at least and at most, and seconds after which no further round begins."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to compute an update.

    Attributes:
        precision: ``no``, ``fp16`` or ``bf16`` mixed precision.
        compile: ``no`` or ``yes``.
        milliseconds: Median of an update; None = not timed.
        compile_seconds: What its first update took beyond the second, if it is compiled.
        left_out: Why it is out of the question; "" = it is not.
    """

    precision: str
    compile: str
    milliseconds: float | None = None
    compile_seconds: float = 0.0
    left_out: str = ""

    @property
    def name(self) -> str:
        """For people, such as ``bf16, compiled``."""
        kind = {"no": "float32"}.get(self.precision, self.precision)
        return f"{kind}, compiled" if self.compile == "yes" else kind

    @property
    def told(self) -> str:
        """How long it takes, or why that is not known."""
        if self.milliseconds is None:
            return self.left_out
        spent = f"{self.milliseconds:.{0 if self.milliseconds >= 10 else 2}f} ms"
        if self.compile_seconds:
            spent += f" after {self.compile_seconds:.0f} s of compiling"
        return f"{spent} ({self.left_out})" if self.left_out else spent

    def total(self, work: "Work") -> float:
        """Seconds that it takes for all the work."""
        each = (self.milliseconds or 0.0) / 1000
        return work.updates * each + work.networks * self.compile_seconds


@dataclass(frozen=True, slots=True)
class Work:
    """What a choice is made for.

    Attributes:
        updates: Updates of all students.
        networks: Different ones that compiling has to be done for; torch keeps what it compiled on
            disk for the next step that trains the same.
    """

    updates: int
    networks: int


Update = Callable[[Way], float]
"""Carries out one update in a way and returns its seconds; a `ConfigError` says it cannot."""


def measure(ways: Sequence[Way], update: Update, work: Work) -> list[Way]:
    """Time updates of all ways against the first, in turns.

    Args:
        ways: The plain way first; those that are left out already are not tried.
        update: Carries out one update.
        work: What is to be done.

    Returns:
        The same ways, timed, or left out with a reason.

    Raises:
        ConfigError: The plain way does not work.
    """
    plain = ways[0]
    first = update(plain)
    pace = update(plain)
    found = [replace(plain, compile_seconds=_compiling(plain, first, pace))]
    for way in ways[1:]:
        reason = way.left_out or _pointless(way, found, pace, work)
        found.append(replace(way, left_out=reason) if reason else _tried(way, update, pace))
    running = [way for way in found if not way.left_out]
    times: dict[Way, list[float]] = {way: [] for way in running}
    if len(running) == 1:
        times[found[0]].append(pace)
        running = []
    spent = 0.0
    for done in range(MOST if running else 0):
        if done >= FEWEST and spent > ENOUGH:
            break
        for way in running:
            times[way].append(update(way))
            spent += times[way][-1]
    return [
        replace(way, milliseconds=1000 * median(times[way])) if way in times else way
        for way in found
    ]


def choose(ways: Sequence[Way], work: Work) -> Way:
    """The way that gets through the work first; the plain one unless another clearly does.

    Args:
        ways: From `measure`, the plain way first.
        work: What is to be done.
    """
    plain = ways[0]
    at_most = GAIN * (plain.milliseconds or 0.0)
    rivals = [
        way
        for way in ways[1:]
        if not way.left_out
        and way.milliseconds is not None
        and way.milliseconds <= at_most
        and way.total(work) < plain.total(work)
    ]
    return min(rivals, key=lambda way: way.total(work), default=plain)


def _compiling(way: Way, first: float, second: float) -> float:
    return max(0.0, first - second) if way.compile == "yes" else 0.0


def _pointless(way: Way, found: Sequence[Way], pace: float, work: Work) -> str:
    """Why a way need not be tried; "" where it should be."""
    if way.compile == "no" or found[0].compile == "yes":
        return ""
    hopes = pace * work.updates / 2
    if hopes < COMPILING * work.networks:
        return f"not tried: compiling cannot be repaid by {work.updates} updates"
    eager = [other for other in found if other.precision == way.precision]
    if eager and eager[0].left_out:
        return f"not tried: {eager[0].name} alone is out of the question"
    return ""


def _tried(way: Way, update: Update, pace: float) -> Way:
    """A way after its first two updates."""
    try:
        first, second = update(way), update(way)
    except ConfigError as error:
        return replace(way, left_out=error.message)
    tried = replace(way, compile_seconds=_compiling(way, first, second))
    if second > HOPELESS * pace:  # once more: something else may just have been at work
        second = min(second, update(way))
    if second > HOPELESS * pace:
        much = f"dropped: its update takes {second / pace:.1f} times as long"
        return replace(tried, milliseconds=1000 * second, left_out=much)
    return tried
