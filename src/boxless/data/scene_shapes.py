"""Everything that the embedded data set draws, as coloured outlines.

A kind is a list of polygons about a unit disc, y pointing down, so mirroring, turning and scaling
is one small matrix. All coordinates are multiples of 1/4096: placing a kind is then exact in
float64, and a scene has the same bits on every machine.
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from boxless.types import Float64Array

ANGLES = 256
"""Number of directions that a full turn is divided into."""

SKY, SEA, MEADOW = 0, 1, 2
"""Zones of a scene, from its top to its bottom."""

SOFT = ("shade", "gloss", "glow")
"""Translucent colours: light and shadow on what lies below; no part of an outline."""

_GRID = 4096


@dataclass(frozen=True, slots=True)
class Part:
    """One filled polygon.

    Attributes:
        colour: ``"main"``, ``"dark"`` and ``"light"`` (of main), ``"second"``, a fixed colour or
            one of `SOFT`; the painter knows them all.
        points: (n, 2) corners as x, y, multiples of 1/4096.
    """

    colour: str
    points: Float64Array


@dataclass(frozen=True, slots=True)
class Kind:
    """What an object or a distractor looks like and where it may stand.

    Attributes:
        zone: `SKY`, `SEA` or `MEADOW`.
        tilt: Largest turn to either side, in 256ths of a full turn.
        parts: In drawing order.
    """

    zone: int
    tilt: int
    parts: tuple[Part, ...]

    @property
    def outline(self) -> Float64Array:
        """(n, 2) corners of all parts that are no mere light or shadow."""
        return np.concatenate([part.points for part in self.parts if part.colour not in SOFT])


def _part(colour: str, points: Float64Array) -> Part:
    return Part(colour, np.rint(points / 100 * _GRID) / _GRID)


def _flat(colour: str, *numbers: float) -> Part:
    """Polygon with the given corners x, y, x, y, … in hundredths."""
    return _part(colour, np.array(numbers, np.float64).reshape(-1, 2))


def _round(colour: str, *numbers: float) -> Part:
    """The same with its corners cut three times, which leaves a smooth curve."""
    points = np.array(numbers, np.float64).reshape(-1, 2)
    for _ in range(3):
        following = np.roll(points, -1, axis=0)
        pairs = (3 * points + following, points + 3 * following)
        points = np.stack(pairs, axis=1).reshape(-1, 2) / 4
    return _part(colour, points)


def _oval(colour: str, x: float, y: float, rx: float, ry: float, lean: float = 0.0) -> Part:
    """Ellipse around (x, y) in hundredths, leaning by a share of a full turn."""
    cosine, sine = math.cos(2 * math.pi * lean), math.sin(2 * math.pi * lean)
    around = [2 * math.pi * i / 32 for i in range(32)]
    points = [(rx * math.cos(t), ry * math.sin(t)) for t in around]
    turned = [(x + cosine * a - sine * b, y + sine * a + cosine * b) for a, b in points]
    return _part(colour, np.array(turned))


def _petals(colour: str, x: float, y: float, count: int, reach: float, rx: float) -> list[Part]:
    steps = [i / count for i in range(count)]
    turns = [(2 * math.pi * step, step) for step in steps]
    return [
        _oval(colour, x + reach * math.cos(t), y + reach * math.sin(t), rx, 0.62 * rx, step)
        for t, step in turns
    ]


def _mushroom() -> tuple[Part, ...]:
    cap = (-95, 18, -88, -45, -45, -92, 45, -92, 88, -45, 95, 18, 45, 26, -45, 26)
    return (
        _round("pale", -22, 0, 22, 0, 24, 60, 36, 98, -36, 98, -24, 60),
        _round("shade", 6, 0, 24, 0, 26, 60, 38, 98, 0, 98, 10, 60),
        _oval("shade", 0, 20, 30, 12),
        _round("main", *cap),
        _round("shade", 20, -95, 70, -80, 97, 0, 95, 20, 30, 24, 50, -10, 48, -60),
        *(_oval("pale", *spot) for spot in ((-42, -28, 15, 12), (8, -58, 16, 12), (44, -20, 13, 14))),
        *(_oval("pale", *spot) for spot in ((-4, -4, 10, 8), (-72, 2, 8, 7))),
    )


def _boat() -> tuple[Part, ...]:
    return (
        _flat("wood", -7, -98, 2, -98, 2, 50, -7, 50),
        _flat("pale", -12, -92, -12, 34, -80, 34, -52, -20),
        _flat("shade", -12, -92, -12, 34, -34, 34, -26, -20),
        _flat("second", 8, -78, 8, 34, 72, 34, 40, -10),
        _flat("main", -95, 44, 97, 40, 64, 92, -62, 92),
        _flat("dark", -72, 74, 77, 74, 64, 92, -62, 92),
        _flat("pale", -92, 48, 92, 45, 89, 53, -88, 55),
    )


def _kite() -> tuple[Part, ...]:
    return (
        _flat("ink", -3, 40, 3, 40, 14, 62, 6, 78, 22, 100, 17, 100, -1, 79, 8, 63),
        _flat("second", 10, 62, 26, 52, 28, 66, -6, 56, -8, 70),
        _flat("second", 4, 80, 18, 68, 24, 82, -14, 76, -12, 90),
        _flat("main", 0, -100, -56, -28, 0, -28),
        _flat("second", 0, -100, 56, -28, 0, -28),
        _flat("second", 0, 48, -56, -28, 0, -28),
        _flat("main", 0, 48, 56, -28, 0, -28),
        _flat("shade", 0, -100, 56, -28, 0, 48),
    )


def _balloon() -> tuple[Part, ...]:
    body = (-16, 62, -74, 4, -74, -70, -34, -104, 34, -104, 74, -70, 74, 4, 16, 62)
    return (
        _flat("ink", -15, 54, -11, 54, -8, 76, -12, 76),
        _flat("ink", 15, 54, 11, 54, 8, 76, 12, 76),
        _round("main", *body),
        _round("second", -10, 60, -46, 0, -46, -70, -18, -103, 18, -103, 46, -70, 46, 0, 10, 60),
        _round("main", -5, 60, -18, 0, -18, -70, -6, -103, 6, -103, 18, -70, 18, 0, 5, 60),
        _round("shade", 4, 60, 40, 0, 48, -70, 20, -104, 60, -100, 76, -70, 76, 4, 16, 62),
        _oval("gloss", -36, -52, 12, 24, 0.06),
        _flat("wood", -15, 74, 15, 74, 12, 98, -12, 98),
        _flat("dark", -17, 72, 17, 72, 17, 78, -17, 78),
    )


def _bird() -> tuple[Part, ...]:
    return (
        _flat("dark", -50, 0, -98, -22, -90, 4, -100, 24, -52, 18),
        _round("dark", 10, 0, 30, -70, 62, -92, 44, -30, 36, 8),
        _round("main", -66, 6, -30, -30, 40, -34, 78, -20, 82, 10, 40, 42, -30, 36),
        _round("pale", -20, 30, 30, 8, 72, 10, 40, 40, -10, 36),
        _round("main", -16, 6, -44, -62, -24, -98, 6, -50, 28, 2),
        _round("shade", -16, 6, -34, -40, -20, -60, 6, -30, 28, 2),
        _flat("yellow", 74, -12, 100, -2, 74, 8),
        _oval("ink", 58, -12, 6, 6),
    )


def _fish() -> tuple[Part, ...]:
    return (
        _round("dark", -42, 0, -100, -52, -84, 0, -100, 52),
        _round("second", -24, -34, 6, -74, 48, -34),
        _round("second", -12, 34, -4, 62, 26, 36),
        _round("main", -66, 0, -20, -52, 60, -52, 108, 0, 60, 52, -20, 52),
        _round("pale", -40, 16, 20, 20, 90, 12, 50, 44, -10, 44),
        _round("second", -8, -44, 10, -44, 18, 0, 8, 44, -10, 44, -2, 0),
        _round("gloss", -30, -22, 20, -44, 70, -30, 20, -30),
        _oval("pale", 58, -12, 13, 13),
        _oval("ink", 61, -12, 7, 7),
    )


def _duck() -> tuple[Part, ...]:
    return (
        _flat("yellow", 70, -44, 102, -34, 98, -22, 66, -22),
        _round("main", -104, -6, -60, 18, 10, 6, 30, -20, 84, 10, 66, 80, -60, 84),
        _round("main", 14, -20, 16, -92, 88, -92, 88, -14, 66, 30, 20, 40),
        _flat("pale", 20, -18, 70, -10, 66, 0, 20, -6),
        _round("dark", -72, 18, -20, 12, 34, 22, 16, 58, -40, 62),
        _round("shade", -70, 60, 70, 50, 60, 82, -54, 84),
        _oval("ink", 58, -52, 7, 8),
    )


def _snail() -> tuple[Part, ...]:
    return (
        _flat("pale", 58, 10, 44, -46, 51, -48, 66, 8),
        _flat("pale", 74, 10, 86, -42, 93, -40, 82, 12),
        _oval("ink", 47, -49, 8, 8),
        _oval("ink", 90, -44, 8, 8),
        _round("pale", -108, 86, -30, 50, 40, 50, 48, 0, 96, -6, 100, 44, 72, 88),
        _round("shade", -100, 86, -30, 66, 60, 70, 92, 50, 72, 88),
        _oval("main", -16, 6, 60, 58),
        _oval("light", -10, 12, 46, 44),
        _oval("main", -18, 14, 36, 34),
        _oval("second", -12, 18, 24, 22),
        _oval("main", -16, 18, 12, 11),
        _round("shade", -10, 64, 46, 50, 48, -20, 20, -50, 20, 0, 0, 40),
    )


def _flower() -> tuple[Part, ...]:
    return (
        _flat("green", -4, -20, 4, -20, 6, 100, -3, 100),
        _round("green", 0, 78, 8, 40, 66, 24, 50, 66),
        _round("leaf", 0, 92, -8, 54, -62, 44, -46, 80),
        *_petals("main", 0, -40, 7, 34, 28),
        *_petals("light", 0, -40, 7, 26, 14),
        _oval("yellow", 0, -40, 18, 18),
        _oval("shade", 3, -36, 11, 11),
    )


def _lamp() -> tuple[Part, ...]:
    return (
        _oval("glow", 0, -56, 62, 62),
        _oval("glow", 0, -56, 44, 44),
        _flat("ink", -6, -30, 6, -30, 7, 90, -7, 90),
        _flat("ink", -22, 90, 22, 90, 26, 100, -26, 100),
        _flat("ink", -13, 2, 13, 2, 13, 8, -13, 8),
        _flat("yellow", -28, -76, 28, -76, 18, -28, -18, -28),
        _flat("pale", -14, -72, 2, -72, 0, -32, -10, -32),
        _flat("main", -38, -74, 38, -74, 14, -94, 0, -102, -14, -94),
        _flat("dark", 10, -74, 38, -74, 14, -94, 0, -102),
        _flat("main", -20, -32, 20, -32, 14, -22, -14, -22),
    )


def _cloud() -> tuple[Part, ...]:
    puffs = ((-52, 14, 42, 26), (50, 16, 46, 24), (-12, -8, 42, 36), (26, 0, 36, 28))
    return (
        *(_oval("mist", *puff) for puff in puffs),
        _round("shade", -80, 30, 0, 18, 84, 28, 60, 42, -60, 42),
    )


def _tree() -> tuple[Part, ...]:
    return (
        _flat("wood", -8, 60, 8, 60, 10, 100, -10, 100),
        *(_flat("leaf", 0, y - 64, 26 + y / 3, y, -26 - y / 3, y) for y in (76, 36, -4, -38)),
        _flat("shade", 2, -102, 20, -38, 10, -36, 30, -4, 18, 0, 40, 36, 24, 40, 50, 76, 2, 76),
    )


def _bush() -> tuple[Part, ...]:
    puffs = ((-46, 30, 44, 36), (44, 32, 46, 36), (0, 6, 48, 46))
    spots = ((-50, 20), (-14, -14), (20, 16), (52, 26), (-20, 40))
    return (
        *(_oval("leaf", *puff) for puff in puffs),
        _round("shade", -70, 66, 20, 50, 88, 20, 70, 68),
        *(_oval("second", x, y, 9, 9) for x, y in spots),
    )


def _stone() -> tuple[Part, ...]:
    return (
        _flat("grey", -92, 62, -76, -2, -28, -46, 34, -40, 84, 8, 96, 60),
        _flat("gloss", -76, -2, -28, -46, 34, -40, 0, -14),
        _flat("shade", 34, -40, 84, 8, 96, 60, 30, 62, 22, 4),
    )


def _buoy() -> tuple[Part, ...]:
    return (
        _flat("ink", -5, -98, 5, -98, 5, 0, -5, 0),
        _flat("second", 5, -96, 54, -78, 5, -58),
        _flat("main", -34, 0, 34, 0, 58, 84, -58, 84),
        _flat("pale", -42, 28, 42, 28, 50, 56, -50, 56),
        _flat("shade", 8, 0, 34, 0, 58, 84, 16, 84),
    )


def _stump() -> tuple[Part, ...]:
    return (
        _round("wood", -66, -44, 66, -44, 60, 40, 90, 84, -90, 84, -60, 40),
        _round("shade", 20, -30, 66, -34, 60, 40, 90, 84, 20, 84),
        _oval("main", 0, -34, 58, 22),
        _oval("light", 0, -34, 38, 13),
        _oval("main", 0, -34, 16, 6),
    )


@cache
def objects() -> dict[str, Kind]:
    """What the classes look like, by class name, the most frequent class first."""
    return {
        "mushroom": Kind(MEADOW, 8, _mushroom()),
        "boat": Kind(SEA, 6, _boat()),
        "kite": Kind(SKY, 30, _kite()),
        "snail": Kind(MEADOW, 5, _snail()),
        "duck": Kind(SEA, 6, _duck()),
        "balloon": Kind(SKY, 10, _balloon()),
        "flower": Kind(MEADOW, 10, _flower()),
        "bird": Kind(SKY, 20, _bird()),
        "fish": Kind(SEA, 24, _fish()),
        "lamp": Kind(MEADOW, 3, _lamp()),
    }


@cache
def distractors() -> dict[str, Kind]:
    """What carries no tag; it shares zones and colours with the classes."""
    return {
        "cloud": Kind(SKY, 4, _cloud()),
        "buoy": Kind(SEA, 8, _buoy()),
        "stone": Kind(SEA, 4, _stone()),
        "tree": Kind(MEADOW, 3, _tree()),
        "bush": Kind(MEADOW, 3, _bush()),
        "stump": Kind(MEADOW, 3, _stump()),
    }


@cache
def turns() -> Float64Array:
    """(ANGLES, 2) cosine and sine of every direction, as multiples of 1/4096."""
    angle = [2 * math.pi * i / ANGLES for i in range(ANGLES)]
    table = np.array([(math.cos(a), math.sin(a)) for a in angle])
    return np.asarray(np.rint(table * _GRID) / _GRID, np.float64)
