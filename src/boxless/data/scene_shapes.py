"""Everything that the embedded data set draws, as coloured outlines.

A drawing is text, one line per part, in drawing order: what it is, its colour, and whole numbers in
hundredths of the radius, y pointing down. ``flat`` is a polygon ``x y x y …``; ``round`` the same
with its corners cut three times, which leaves a smooth curve; ``oval`` any number of ellipses
``x y rx ry``. Coordinates end as multiples of 1/4096: placing them is exact in float64, and a scene
has the same bits everywhere.
"""

import math
from dataclasses import dataclass

import numpy as np

from boxless.types import Float64Array

SKY, SEA, MEADOW = 0, 1, 2
"""Zones of a scene, from its top to its bottom."""

_OBJECTS = {
    ("mushroom", MEADOW, 8): """
        round pale   -22 0 22 0 24 60 36 98 -36 98 -24 60
        round shade  6 0 24 0 26 60 38 98 0 98 10 60
        round main   -95 18 -88 -45 -45 -92 45 -92 88 -45 95 18 45 26 -45 26
        round shade  20 -95 70 -80 97 0 95 20 30 24 50 -10 48 -60
        oval  pale   -42 -28 15 12 8 -58 16 12 44 -20 13 14 -4 -4 10 8 -72 2 8 7""",
    ("boat", SEA, 6): """
        flat  wood   -7 -98 2 -98 2 50 -7 50
        flat  pale   -12 -92 -12 34 -80 34 -52 -20
        flat  shade  -12 -92 -12 34 -34 34 -26 -20
        flat  second 8 -78 8 34 72 34 40 -10
        flat  main   -95 44 97 40 64 92 -62 92
        flat  pale   -92 48 92 45 89 53 -88 55""",
    ("kite", SKY, 30): """
        flat  ink    -3 40 3 40 14 62 6 78 22 100 17 100 -1 79 8 63
        flat  second 10 62 28 52 30 68 -8 56 -10 72 10 62 4 80 20 68 26 84 -16 76 -14 92 4 80
        flat  second 0 -100 56 -28 0 48 -56 -28
        flat  main   0 -100 0 48 56 -28 -56 -28
        flat  shade  0 -100 56 -28 0 48""",
    ("snail", MEADOW, 5): """
        flat  pale   58 20 44 -46 51 -48 66 12 74 12 86 -42 93 -40 82 20
        oval  ink    47 -49 8 8 90 -44 8 8
        round pale   -108 86 -30 50 40 50 48 0 96 -6 100 44 72 88
        oval  main   -16 6 60 58
        oval  light  -10 12 46 44
        oval  main   -18 14 36 34
        oval  second -12 18 24 22
        round shade  -10 64 46 50 48 -20 20 -50 20 0 0 40""",
    ("duck", SEA, 6): """
        flat  yellow 72 -56 104 -40 102 -30 68 -30
        round main   -110 -22 -84 6 -40 -8 20 2 70 -4 84 40 60 80 -64 80
        round main   22 10 18 -92 86 -92 82 -30 70 24 60 44 30 40
        flat  pale   30 -14 68 -14 70 -2 30 -2
        round dark   -78 14 -20 4 34 20 20 56 -44 60
        round shade  -80 56 70 46 56 80 -60 80
        oval  pale   60 -56 10 11
        oval  ink    62 -56 6 7""",
    ("balloon", SKY, 10): """
        flat  ink    -16 50 -11 50 -9 76 9 76 11 50 16 50 12 80 -12 80
        round main   -16 62 -74 4 -74 -70 -34 -104 34 -104 74 -70 74 4 16 62
        round second -10 60 -46 0 -46 -70 -18 -103 18 -103 46 -70 46 0 10 60
        round main   -5 60 -18 0 -18 -70 -6 -103 6 -103 18 -70 18 0 5 60
        round shade  4 60 40 0 48 -70 20 -104 60 -100 76 -70 76 4 16 62
        oval  gloss  -36 -52 12 24
        flat  wood   -17 74 17 74 12 98 -12 98""",
    ("flower", MEADOW, 10): """
        flat  green  -4 -20 4 -20 6 100 -3 100
        round green  0 78 8 40 66 24 50 66
        round leaf   0 92 -8 54 -62 44 -46 80
        oval  main   36 -40 23 23 11 -6 23 23 -29 -19 23 23 -29 -61 23 23 11 -74 23 23
        oval  light  25 -40 12 12 8 -16 12 12 -20 -25 12 12 -20 -55 12 12 8 -64 12 12
        oval  yellow 0 -40 18 18""",
    ("bird", SKY, 20): """
        flat  dark   -50 0 -98 -22 -90 4 -100 24 -52 18
        round dark   10 0 30 -70 62 -92 44 -30 36 8
        round main   -66 6 -30 -30 40 -34 78 -20 82 10 40 42 -30 36
        round pale   -20 30 30 8 72 10 40 40 -10 36
        round main   -16 6 -44 -62 -24 -98 6 -50 28 2
        round shade  -16 6 -34 -40 -20 -60 6 -30 28 2
        flat  yellow 74 -12 100 -2 74 8
        oval  ink    58 -12 6 6""",
    ("fish", SEA, 24): """
        round dark   -42 0 -100 -52 -84 0 -100 52
        round second -24 -30 6 -74 48 -30 26 36 -4 66 -12 34
        round main   -66 0 -20 -52 60 -52 108 0 60 52 -20 52
        round pale   -40 16 20 20 90 12 50 44 -10 44
        round second -8 -44 10 -44 18 0 8 44 -10 44 -2 0
        round gloss  -30 -22 20 -44 70 -30 20 -30
        oval  pale   58 -12 13 13
        oval  ink    61 -12 7 7""",
    ("lamp", MEADOW, 3): """
        oval  glow   0 -56 62 62 0 -56 44 44
        flat  ink    -6 -30 6 -30 7 88 22 92 26 100 -26 100 -22 92 -7 88
        flat  yellow -28 -76 28 -76 18 -28 -18 -28
        flat  pale   -14 -72 2 -72 0 -32 -10 -32
        flat  main   -38 -74 38 -74 14 -94 0 -102 -14 -94
        flat  main   -20 -32 20 -32 14 -22 -14 -22""",
}

_DISTRACTORS = {
    ("cloud", SKY, 4): """
        oval  mist   -52 14 42 26 50 16 46 24 -12 -8 42 36 26 0 36 28
        round gloss  -90 40 -60 16 0 26 60 14 96 40 50 42 -50 42""",
    ("buoy", SEA, 8): """
        flat  ink    -5 -98 5 -98 5 0 -5 0
        flat  second 5 -96 54 -78 5 -58
        flat  main   -34 0 34 0 58 84 -58 84
        flat  pale   -42 28 42 28 50 56 -50 56
        flat  shade  8 0 34 0 58 84 16 84""",
    ("stone", SEA, 4): """
        flat  grey   -92 82 -76 18 -28 -26 34 -20 84 28 96 80
        flat  gloss  -76 18 -28 -26 34 -20 0 6
        flat  shade  34 -20 84 28 96 80 30 82 22 24""",
    ("tree", MEADOW, 3): """
        flat  wood   -8 60 8 60 10 100 -10 100
        flat  leaf   0 -102 27 -4 12 -4 40 37 20 37 52 76 -52 76 -20 37 -40 37 -12 -4 -27 -4
        flat  shade  2 -96 27 -4 12 -4 40 37 20 37 52 76 2 76""",
    ("bush", MEADOW, 3): """
        oval  leaf   -46 50 44 36 44 52 46 36 0 26 48 46
        round shade  -70 86 20 70 88 40 70 88
        oval  second -50 40 9 9 -14 6 9 9 20 36 9 9 52 46 9 9 -20 60 9 9""",
    ("stump", MEADOW, 3): """
        round wood   -66 -34 66 -34 60 50 90 94 -90 94 -60 50
        round shade  20 -20 66 -24 60 50 90 94 20 94
        oval  main   0 -24 58 22
        oval  light  0 -24 38 13
        oval  main   0 -24 16 6""",
}


@dataclass(frozen=True, slots=True)
class Kind:
    """What an object or a distractor looks like and where it may stand.

    Attributes:
        zone: `SKY`, `SEA` or `MEADOW`.
        tilt: Largest turn to either side, in 1/256 of a full turn.
        parts: Colour and (n, 2) corners of each polygon, in drawing order. A colour is ``"main"``,
            ``"dark"`` or ``"light"`` (of main), ``"second"``, a fixed one, or light and shadow on
            what lies below: ``"shade"``, ``"gloss"``, ``"glow"``.
    """

    zone: int
    tilt: int
    parts: tuple[tuple[str, Float64Array], ...]

    @property
    def outline(self) -> Float64Array:
        """(n, 2) corners of all parts that are no mere light or shadow."""
        soft = ("shade", "gloss", "glow")
        return np.concatenate([points for colour, points in self.parts if colour not in soft])


def _outlines(what: str, numbers: Float64Array) -> list[Float64Array]:
    """Polygons of one line of a drawing, in hundredths."""
    if what == "oval":
        around = [2 * math.pi * i / 32 for i in range(32)]
        circle = np.array([(math.cos(t), math.sin(t)) for t in around])
        return [oval[:2] + circle * oval[2:] for oval in numbers.reshape(-1, 4)]
    points = numbers.reshape(-1, 2)
    for _ in range(3 if what == "round" else 0):
        after = np.roll(points, -1, axis=0)
        points = np.stack((3 * points + after, points + 3 * after), axis=1).reshape(-1, 2) / 4
    return [points]


def _kind(zone: int, tilt: int, drawing: str) -> Kind:
    parts: list[tuple[str, Float64Array]] = []
    for line in drawing.split("\n")[1:]:
        what, colour, *numbers = line.split()
        for points in _outlines(what, np.array(numbers, np.float64)):
            parts += [(colour, np.rint(points / 100 * 4096) / 4096)]
    return Kind(zone, tilt, tuple(parts))


OBJECTS = {name: _kind(zone, tilt, text) for (name, zone, tilt), text in _OBJECTS.items()}
"""What the classes look like, by class name, the most frequent class first."""

DISTRACTORS = {name: _kind(zone, tilt, text) for (name, zone, tilt), text in _DISTRACTORS.items()}
"""What carries no tag; it shares zones and colours with the classes."""
