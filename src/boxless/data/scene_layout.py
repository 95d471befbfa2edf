"""What stands where in a scene of the embedded data set, without drawing it.

Tags and boxes come from here, so a manifest of a thousand scenes is ready in well under a second.
Random numbers are raw words of PCG64, whose stream NumPy keeps for ever (unlike the methods of
``Generator``), and all geometry is exact: the same recipe gives the same scene everywhere.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np

from boxless.data.scene_shapes import DISTRACTORS, OBJECTS, Kind
from boxless.types import Float64Array, TrueBox, UInt8Array

SUPERSAMPLING = 4
"""Subpixels per pixel and axis in which everything is placed and drawn."""

CLASSES: tuple[str, ...] = tuple(OBJECTS)

SPLIT_CODES = {"train": 1, "test": 2, "untagged": 3}

# Frequencies fall by about 1 : 6 from the first to the last class.
_WEIGHTS = (66, 48, 40, 31, 25, 20, 16, 13, 10, 8)
# An object makes its partners likelier and its rivals rarer among the next ones; others count 2.
_PARTNERS = ("mushroom snail", "boat bird", "kite balloon", "duck fish")
_RIVALS = ("mushroom flower", "boat duck", "kite bird")
_COUNT_WEIGHTS = (6, 18, 24, 22, 15, 10, 5)  # of 0, 1, … 6 objects
_SMALLEST, _LARGEST = 100, 310  # diameter in 1/1000 of the side
_MAX_COVERED = 0.25  # share of a thing's box that another one may share
_FACTORS = {frozenset(p.split()): 6 if p in _PARTNERS else 1 for p in _PARTNERS + _RIVALS}
_AFFINITY = [[_FACTORS.get(frozenset((a, b)), 2) for b in CLASSES] for a in CLASSES]
_TURN = [2 * math.pi * i / 256 for i in range(256)]
_TURNS = [(round(math.cos(a) * 4096) / 4096, round(math.sin(a) * 4096) / 4096) for a in _TURN]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Names one scene.

    Attributes:
        seed: Seed of the data set, 0 or more.
        size: Side of the square image in pixels.
        split: One of `SPLIT_CODES`; the splits draw from different streams.
        index: Number of the scene within its split.
    """

    seed: int
    size: int
    split: str
    index: int


@dataclass(frozen=True, slots=True)
class Thing:
    """Something placed in a scene.

    Attributes:
        kind: What it looks like.
        label: Class index, or -1 for a distractor.
        x: Centre in subpixels.
        y: Centre in subpixels.
        radius: Radius in subpixels.
        angle: Turn in 1/256 of a full one, 0 to 255.
        mirrored: It looks to the left.
        swatches: Numbers of its main and second colour, 0 to 7.
        box: Tight box in whole pixels, ``(x1, y1, x2, y2)``.
    """

    kind: Kind
    label: int
    x: int
    y: int
    radius: int
    angle: int
    mirrored: bool
    swatches: tuple[int, int]
    box: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)

    def place(self, points: Float64Array) -> Float64Array:
        """Mirror, turn, scale and move unit points.

        Args:
            points: (n, 2) points of the unit disc.

        Returns:
            (n, 2) whole subpixels as x, y.
        """
        cosine, sine = _TURNS[self.angle]
        px, py = points[:, 0] * (-1 if self.mirrored else 1), points[:, 1]
        placed = np.stack([cosine * px - sine * py, sine * px + cosine * py], axis=1)
        return np.asarray(np.rint(placed * self.radius) + np.array((self.x, self.y)), np.float64)


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything in one image.

    Attributes:
        recipe: Its name.
        horizon: Row in subpixels where the sea begins.
        shore: Row in subpixels where, about, the meadow begins.
        things: In drawing order.
    """

    recipe: Recipe
    horizon: int
    shore: int
    things: tuple[Thing, ...]

    @property
    def labels(self) -> tuple[int, ...]:
        """K values: 1 where the scene holds an object of the class, else 0."""
        present = {thing.label for thing in self.things}
        return tuple(int(k in present) for k in range(len(CLASSES)))

    @property
    def boxes(self) -> tuple[TrueBox, ...]:
        """True boxes of all objects, distractors left out."""
        return tuple(TrueBox(t.label, t.box) for t in self.things if t.label >= 0)


class Draws:
    """Random integers from the raw words of one PCG64 stream.

    Args:
        recipe: The scene.
        stream: Number of the stream; the layout and the painter use different ones.
    """

    def __init__(self, recipe: Recipe, stream: int) -> None:
        key = (recipe.seed, SPLIT_CODES[recipe.split], recipe.index, stream)
        self._source = np.random.PCG64(np.random.SeedSequence(key))

    def below(self, count: int) -> int:
        """A number in [0, count)."""
        return int(self._source.random_raw()) % count

    def between(self, low: int, high: int) -> int:
        """A number in [low, high]; low if that is the larger."""
        return low + self.below(max(high - low, 0) + 1)

    def pick(self, weights: Sequence[int]) -> int:
        """An index, as often as its weight says."""
        at = self.below(sum(weights))
        return next(i for i, total in enumerate(accumulate(weights)) if at < total)

    def bytes(self, count: int) -> UInt8Array:
        """(count,) random bytes, the same on machines of either byte order."""
        words = self._source.random_raw((count + 7) // 8)
        return np.asarray(words).astype("<u8").view(np.uint8)[:count]


def _boxed(thing: Thing) -> Thing:
    corners = thing.place(thing.kind.outline) // SUPERSAMPLING
    (x1, y1), (x2, y2) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    # Pillow fills a polygon's far edge too: it ends one subpixel after its last corner.
    return replace(thing, box=(x1, y1, x2 + 1, y2 + 1))


def _crowded(thing: Thing, neighbour: Thing) -> bool:
    one, other = thing.box, neighbour.box
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    smaller = min((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return max(width, 0) * max(height, 0) > _MAX_COVERED * smaller


def _put(
    draws: Draws, edges: tuple[int, ...], kind: Kind, label: int, taken: list[Thing]
) -> Thing | None:
    """Find a place for a thing between the edges of its zone, or None after 24 tries."""
    side = edges[-1]
    share = _SMALLEST + (_LARGEST - _SMALLEST) * min(draws.below(1000), draws.below(1000)) // 1000
    radius = share * side // 2000
    main = draws.below(8)
    swatches = (main, (main + draws.between(1, 7)) % 8)
    angle, mirrored = draws.between(-kind.tilt, kind.tilt) % 256, draws.below(2) == 1
    for _ in range(24):
        x = draws.between(radius, side - radius)
        y = draws.between(edges[kind.zone] + radius // 2, edges[kind.zone + 1]) - radius
        thing = _boxed(Thing(kind, label, x, y, radius, angle, mirrored, swatches))
        inside = min(thing.box) >= 0 and max(thing.box) <= side // SUPERSAMPLING
        if inside and not any(_crowded(thing, other) for other in taken):
            return thing
    return None


def _labels(draws: Draws) -> list[int]:
    labels: list[int] = []
    weights = list(_WEIGHTS)
    for _ in range(draws.pick(_COUNT_WEIGHTS)):
        labels.append(draws.pick(weights))
        weights = [w * a for w, a in zip(weights, _AFFINITY[labels[-1]], strict=True)]
    return labels


def layout(recipe: Recipe) -> Scene:
    """Decide what stands where in a scene.

    Returns:
        The scene; what is farther away comes first, each thing at most partly covered.
    """
    draws = Draws(recipe, stream=0)
    side = recipe.size * SUPERSAMPLING
    horizon = draws.between(340, 460) * side // 1000
    shore = horizon + draws.between(190, 280) * side // 1000
    kinds, others = list(OBJECTS.values()), list(DISTRACTORS.values())
    wanted = [(kinds[label], label) for label in _labels(draws)]
    wanted += [(others[draws.below(len(others))], -1) for _ in range(draws.between(3, 8))]
    things: list[Thing] = []
    for kind, label in wanted:
        if thing := _put(draws, (0, horizon, shore, side), kind, label, things):
            things.append(thing)
    things.sort(key=lambda thing: (thing.kind.zone, thing.y + thing.radius))
    return Scene(recipe, horizon, shore, tuple(things))
