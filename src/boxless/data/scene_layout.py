"""What stands where in a scene of the embedded data set, without drawing it.

Tags and boxes come from here, so a manifest of a thousand scenes is ready in well under a second.
Random numbers are raw words of PCG64, whose stream NumPy keeps for ever (unlike the methods of
``Generator``), and all geometry is exact: the same recipe gives the same scene everywhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from boxless.data.scene_shapes import ANGLES, Kind, distractors, objects, turns
from boxless.types import Float64Array, TrueBox, UInt8Array

SUPERSAMPLING = 4
"""Subpixels per pixel and axis in which everything is placed and drawn."""

CLASSES: tuple[str, ...] = tuple(objects())

SPLIT_CODES = {"train": 1, "test": 2, "untagged": 3}

SWATCHES = 8
"""Colours that any kind of thing may have."""

# Frequencies fall by about 1 : 6 from the first to the last class.
_WEIGHTS = (66, 48, 40, 31, 25, 20, 16, 13, 10, 8)
# An object makes its partners likelier and its rivals rarer among the next ones.
_PARTNERS = (("mushroom", "snail"), ("boat", "bird"), ("kite", "balloon"), ("duck", "fish"))
_RIVALS = (("mushroom", "flower"), ("boat", "duck"), ("kite", "bird"))
_COUNT_WEIGHTS = (6, 18, 24, 22, 15, 10, 5)  # of 0, 1, … 6 objects
_MAX_COVERED = 0.25  # share of a thing's box that another one may share


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
        angle: Direction, 0 to ``ANGLES - 1``.
        mirrored: It looks to the left.
        swatches: Numbers of its main and second colour.
        box: Tight box in pixels, ``(x1, y1, x2, y2)``.
    """

    kind: Kind
    label: int
    x: int
    y: int
    radius: int
    angle: int
    mirrored: bool
    swatches: tuple[int, int]
    box: tuple[int, int, int, int] = (0, 0, 0, 0)

    def place(self, points: Float64Array) -> Float64Array:
        """Mirror, turn, scale and move unit points.

        Args:
            points: (n, 2) points of the unit disc.

        Returns:
            (n, 2) whole subpixels as x, y.
        """
        cosine, sine = turns()[self.angle]
        px, py = points[:, 0] * (-1 if self.mirrored else 1), points[:, 1]
        placed = np.stack([cosine * px - sine * py, sine * px + cosine * py], axis=1)
        return np.asarray(np.rint(placed * self.radius) + (self.x, self.y), np.float64)


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
        objects_only = [thing for thing in self.things if thing.label >= 0]
        return tuple(TrueBox(t.label, _as_floats(t.box)) for t in objects_only)


def _as_floats(box: tuple[int, int, int, int]) -> tuple[float, float, float, float]:
    return (float(box[0]), float(box[1]), float(box[2]), float(box[3]))


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
        for index, weight in enumerate(weights):
            at -= weight
            if at < 0:
                return index
        return len(weights) - 1

    def bytes(self, count: int) -> UInt8Array:
        """(count,) random bytes, the same on machines of either byte order."""
        words = self._source.random_raw((count + 7) // 8)
        return np.asarray(words).astype("<u8").view(np.uint8)[:count]


def _affinity() -> list[list[int]]:
    table = [[2] * len(CLASSES) for _ in CLASSES]
    for pairs, factor in ((_PARTNERS, 6), (_RIVALS, 1)):
        for first, second in pairs:
            a, b = CLASSES.index(first), CLASSES.index(second)
            table[a][b] = table[b][a] = factor
    return table


_AFFINITY = _affinity()


def _boxed(thing: Thing) -> Thing:
    corners = thing.place(thing.kind.outline)
    # Pillow fills a polygon's far edge too: it ends one subpixel after its last corner.
    x1, y1 = (int(v) // SUPERSAMPLING for v in corners.min(axis=0))
    x2, y2 = (int(v) // SUPERSAMPLING + 1 for v in corners.max(axis=0))
    return replace(thing, box=(x1, y1, x2, y2))


def _crowded(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    smaller = min((b[2] - b[0]) * (b[3] - b[1]) for b in (one, other))
    return max(width, 0) * max(height, 0) > _MAX_COVERED * smaller


class _Builder:
    """Puts things where they belong and where there is room."""

    def __init__(self, recipe: Recipe) -> None:
        self.draws = Draws(recipe, stream=0)
        self.size = recipe.size
        self.side = recipe.size * SUPERSAMPLING
        self.horizon = self.draws.between(340, 460) * self.side // 1000
        self.shore = self.horizon + self.draws.between(190, 280) * self.side // 1000
        self.things: list[Thing] = []

    def add(self, kind: Kind, label: int, low: int, high: int) -> None:
        """Add a thing, unless 24 places are all taken.

        Args:
            kind: What it looks like.
            label: Class index, or -1.
            low: Smallest diameter in 1/1000 of the side; small ones are frequent.
            high: Largest one.
        """
        draws, side = self.draws, self.side
        share = low + (high - low) * min(draws.below(1000), draws.below(1000)) // 1000
        radius = share * side // 2000
        edges = (0, self.horizon, self.shore, side)
        top, bottom = edges[kind.zone] + radius // 2, edges[kind.zone + 1]
        main = draws.below(SWATCHES)
        swatches = (main, (main + draws.between(1, SWATCHES - 1)) % SWATCHES)
        angle = draws.between(-kind.tilt, kind.tilt) % ANGLES
        mirrored = draws.below(2) == 1
        for _ in range(24):
            x, foot = draws.between(radius, side - radius), draws.between(top, bottom)
            thing = _boxed(
                Thing(kind, label, x, foot - radius, radius, angle, mirrored, swatches)
            )
            inside = min(thing.box) >= 0 and max(thing.box) <= self.size
            if inside and not any(_crowded(thing.box, other.box) for other in self.things):
                self.things.append(thing)
                return


def _object_labels(draws: Draws) -> list[int]:
    labels: list[int] = []
    weights = list(_WEIGHTS)
    for _ in range(draws.pick(_COUNT_WEIGHTS)):
        label = draws.pick(weights)
        labels.append(label)
        weights = [w * a for w, a in zip(weights, _AFFINITY[label], strict=True)]
    return labels


def layout(recipe: Recipe) -> Scene:
    """Decide what stands where in a scene.

    Args:
        recipe: The scene.

    Returns:
        The scene; what is farther away comes first, each thing at most partly covered.
    """
    build = _Builder(recipe)
    draws = build.draws
    kinds, others = list(objects().values()), list(distractors().values())
    for label in _object_labels(draws):
        build.add(kinds[label], label, 110, 310)
    for _ in range(draws.between(3, 8)):
        build.add(others[draws.below(len(others))], -1, 80, 300)
    things = sorted(build.things, key=lambda t: (t.kind.zone, t.y + t.radius))
    return Scene(recipe, build.horizon, build.shore, tuple(things))
