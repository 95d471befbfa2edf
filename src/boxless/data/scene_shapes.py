"""Outlines of everything that the embedded data set draws.

A shape is a list of polygons in a unit disc, so turning and scaling is one small matrix. All
coordinates are multiples of 1/4096: placing a shape is then exact in float64, and a scene has the
same bits on every machine.
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from boxless.types import Float64Array

BODY, INK, HOLE = 0, 1, 2
"""Layers a polygon is drawn on: main colour, second colour, cut out."""

ANGLES = 256
"""Number of directions an object can be turned to."""

_GRID = 4096
_Points = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Polygon:
    """One filled polygon of a shape.

    Attributes:
        layer: `BODY`, `INK` or `HOLE`; ink lies on the body and clear of the holes.
        points: (n, 2) corners as x, y in the unit disc, multiples of 1/4096.
    """

    layer: int
    points: Float64Array


Shape = tuple[Polygon, ...]


def _polygon(layer: int, points: _Points) -> Polygon:
    return Polygon(layer, np.rint(np.array(points, np.float64) * _GRID) / _GRID)


def _arc(radius: float, start: float, stop: float, count: int, cx: float = 0.0) -> _Points:
    """Points of an arc around (cx, 0); angles in turns, both ends included."""
    steps = [2 * math.pi * (start + (stop - start) * i / (count - 1)) for i in range(count)]
    return [(cx + radius * math.cos(t), radius * math.sin(t)) for t in steps]


def _circle(radius: float) -> _Points:
    return _arc(radius, 0.0, 1.0, 41)[:-1]


def _square(half: float, cx: float = 0.0, cy: float = 0.0) -> _Points:
    return [
        (cx - half, cy - half),
        (cx + half, cy - half),
        (cx + half, cy + half),
        (cx - half, cy + half),
    ]


def _regular(corners: int, radius: float = 1.0) -> _Points:
    return _arc(radius, 0.0, 1.0, corners + 1)[:-1]


def _star() -> Shape:
    outer, inner = _regular(5), _arc(0.42, 0.1, 1.1, 6)[:-1]
    points = [p for pair in zip(outer, inner, strict=True) for p in pair]
    return (_polygon(BODY, points), _polygon(INK, [(0.45 * x, 0.45 * y) for x, y in points]))


def _ring() -> Shape:
    return (_polygon(BODY, _circle(1.0)), _polygon(HOLE, _circle(0.52)))


def _cross() -> Shape:
    a, b = 0.95, 0.3
    points = [(a, b), (b, b), (b, a), (-b, a), (-b, b), (-a, b)]
    points += [(-x, -y) for x, y in points]
    return (_polygon(BODY, points), _polygon(INK, _square(0.2)))


def _strip(low: float, high: float) -> _Points:
    """Part of the unit disc between two horizontal lines."""
    a, b = math.asin(low) / (2 * math.pi), math.asin(high) / (2 * math.pi)
    return _arc(1.0, a, b, 7) + _arc(1.0, 0.5 - b, 0.5 - a, 7)


def _stripes() -> Shape:
    strips = ((-0.85, -0.5), (-0.17, 0.17), (0.5, 0.85))
    return (_polygon(BODY, _circle(1.0)), *(_polygon(INK, _strip(*s)) for s in strips))


def _checker() -> Shape:
    cells = [
        _polygon(INK, _square(0.25, 0.5 * i - 0.5, 0.5 * j - 0.5))
        for i in range(3)
        for j in range(3)
        if (i + j) % 2
    ]
    return (_polygon(BODY, _square(0.75)), *cells)


def _arrow() -> Shape:
    half = [(1.0, 0.0), (0.2, 0.75), (0.2, 0.27), (-0.95, 0.27)]
    return (_polygon(BODY, half + [(x, -y) for x, y in reversed(half[1:])]),)


def _gear() -> Shape:
    teeth = 8
    points: _Points = []
    for tooth in range(teeth):
        at = tooth / teeth
        points += _arc(1.0, at - 0.028, at + 0.028, 3)
        points += _arc(0.72, at + 0.04, at + 0.085, 3)
    return (_polygon(BODY, points), _polygon(HOLE, _circle(0.3)))


def _crescent() -> Shape:
    # The circle of radius r around (d, 0) cuts the unit circle where x = (1 + d^2 - r^2) / 2d.
    d, r = 0.5, 0.82
    x = (1 + d * d - r * r) / (2 * d)
    y = math.sqrt(1 - x * x)
    outer = math.atan2(y, x) / (2 * math.pi)
    inner = math.atan2(y, x - d) / (2 * math.pi)
    points = _arc(1.0, outer, 1 - outer, 31) + _arc(r, 1 - inner, inner, 31, cx=d)
    return (_polygon(BODY, points),)


def _zigzag() -> Shape:
    upper = [(-0.9, 0.0), (-0.55, -0.55), (-0.05, 0.15), (0.4, -0.55), (0.9, 0.15)]
    lower = [(x, y + 0.38) for x, y in reversed(upper)]
    return (_polygon(BODY, upper + lower),)


def _spiral() -> Shape:
    count, turns = 49, 2.0
    outer: _Points = []
    inner: _Points = []
    for i in range(count):
        at = turns * i / (count - 1)
        radius = 0.12 + 0.36 * at
        angle = 2 * math.pi * at
        outer.append(((radius + 0.17) * math.cos(angle), (radius + 0.17) * math.sin(angle)))
        inner.append((radius * math.cos(angle), radius * math.sin(angle)))
    return (_polygon(BODY, _circle(1.0)), _polygon(INK, outer + inner[::-1]))


def _plain(points: _Points) -> Shape:
    return (_polygon(BODY, points),)


@cache
def objects() -> dict[str, Shape]:
    """Shapes of the classes, by class name, the most frequent class first."""
    return {
        "ring": _ring(),
        "star": _star(),
        "gear": _gear(),
        "cross": _cross(),
        "stripes": _stripes(),
        "arrow": _arrow(),
        "crescent": _crescent(),
        "checker": _checker(),
        "spiral": _spiral(),
        "zigzag": _zigzag(),
    }


@cache
def distractors() -> dict[str, Shape]:
    """Shapes that carry no tag; they share outlines and colours with the classes."""
    return {
        "disc": _plain(_circle(1.0)),
        "square": _plain(_square(0.72)),
        "triangle": _plain(_regular(3)),
        "bar": _plain([(-1.0, -0.2), (1.0, -0.2), (1.0, 0.2), (-1.0, 0.2)]),
        "half": _plain(_arc(1.0, 0.0, 0.5, 21)),
        "dotted": (_polygon(BODY, _circle(0.95)), _polygon(INK, _circle(0.4))),
        "hexagon": (_polygon(BODY, _regular(6)), _polygon(INK, _square(0.35))),
    }


@cache
def turns() -> Float64Array:
    """(ANGLES, 2) cosine and sine of every direction, as multiples of 1/4096."""
    angle = [2 * math.pi * i / ANGLES for i in range(ANGLES)]
    table = np.array([(math.cos(a), math.sin(a)) for a in angle])
    return np.asarray(np.rint(table * _GRID) / _GRID, np.float64)
