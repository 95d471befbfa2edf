"""What stands where in a scene of the embedded data set, without drawing it.

Tags and boxes come from here, so a manifest of a thousand scenes is ready in well under a second.
Random numbers are raw words of PCG64, whose stream NumPy keeps for ever (unlike the methods of
``Generator``), and all geometry is exact: the same recipe gives the same scene everywhere.
"""

from dataclasses import dataclass

import numpy as np

from boxless.data.scene_shapes import ANGLES, HOLE, Shape, distractors, objects, turns
from boxless.types import Float64Array, TrueBox, UInt8Array

SUPERSAMPLING = 4
"""Subpixels per pixel and axis in which shapes are placed and drawn."""

CLASSES: tuple[str, ...] = tuple(objects())

SPLIT_CODES = {"train": 1, "test": 2}

# Frequencies fall by about 1 : 6 from the first to the last class.
_WEIGHTS = (66, 48, 40, 31, 25, 20, 16, 13, 10, 8)
# An object makes its partners likelier and its rivals rarer among the next ones.
_PARTNERS = (("ring", "arrow"), ("star", "crescent"), ("gear", "spiral"), ("cross", "checker"))
_RIVALS = (("ring", "gear"), ("star", "stripes"), ("zigzag", "cross"))
_COUNT_WEIGHTS = (6, 18, 24, 22, 15, 10, 5)  # of 0, 1, … 6 objects
_MAX_COVERED = 0.3  # share of an object's box that later things may cover


@dataclass(frozen=True, slots=True)
class Recipe:
    """Names one scene.

    Attributes:
        seed: Seed of the data set, 0 or more.
        size: Side of the square image in pixels.
        split: ``"train"`` or ``"test"``; the splits draw from different streams.
        index: Number of the scene within its split.
    """

    seed: int
    size: int
    split: str
    index: int


@dataclass(frozen=True, slots=True)
class Thing:
    """One shape placed in a scene.

    Attributes:
        shape: Its polygons.
        label: Class index, or -1 for a distractor.
        x: Centre in subpixels.
        y: Centre in subpixels.
        radius: Radius in subpixels.
        angle: Direction, 0 to ``ANGLES - 1``.
        palette: Six random colours that the painter chooses from, as 18 bytes.
        box: Tight box in pixels, ``(x1, y1, x2, y2)``.
    """

    shape: Shape
    label: int
    x: int
    y: int
    radius: int
    angle: int
    palette: bytes
    box: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything in one image, in drawing order."""

    recipe: Recipe
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
        """A number in [low, high]."""
        return low + self.below(high - low + 1)

    def pick(self, weights: "tuple[int, ...] | list[int]") -> int:
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


def place(points: Float64Array, x: int, y: int, radius: int, angle: int) -> Float64Array:
    """Turn, scale and move unit points.

    Args:
        points: (n, 2) points of the unit disc.
        x: Centre in subpixels.
        y: Centre in subpixels.
        radius: Radius in subpixels.
        angle: Direction, 0 to ``ANGLES - 1``.

    Returns:
        (n, 2) whole subpixels as x, y.
    """
    cosine, sine = turns()[angle]
    px, py = points[:, 0], points[:, 1]
    placed = np.stack([cosine * px - sine * py, sine * px + cosine * py], axis=1)
    return np.asarray(np.rint(placed * radius) + np.array((x, y)), np.float64)


def _tight_box(shape: Shape, x: int, y: int, radius: int, angle: int) -> tuple[int, int, int, int]:
    outline = np.concatenate([p.points for p in shape if p.layer != HOLE])
    corners = place(outline, x, y, radius, angle)
    # Pillow fills a polygon's far edge too: it ends one subpixel after its last corner.
    x1, y1 = (int(v) // SUPERSAMPLING for v in corners.min(axis=0))
    x2, y2 = (int(v) // SUPERSAMPLING + 1 for v in corners.max(axis=0))
    return x1, y1, x2, y2


def _covered(box: tuple[int, int, int, int], by: tuple[int, int, int, int]) -> float:
    width = min(box[2], by[2]) - max(box[0], by[0])
    height = min(box[3], by[3]) - max(box[1], by[1])
    whole = (box[2] - box[0]) * (box[3] - box[1])
    return max(width, 0) * max(height, 0) / whole


def _put(
    draws: Draws, size: int, shape: Shape, label: int, radius: int, under: list[Thing]
) -> Thing | None:
    """Find a free place for a shape, or None after 24 tries."""
    side = size * SUPERSAMPLING
    margin = radius + SUPERSAMPLING
    palette = draws.bytes(18).tobytes()
    angle = draws.below(ANGLES)
    for _ in range(24):
        x, y = draws.between(margin, side - margin), draws.between(margin, side - margin)
        box = _tight_box(shape, x, y, radius, angle)
        inside = min(box) >= 0 and max(box) <= size  # outlines may reach past their radius
        if inside and all(_covered(other.box, box) <= _MAX_COVERED for other in under):
            return Thing(shape, label, x, y, radius, angle, palette, box)
    return None


def _radius(draws: Draws, size: int, low: int, high: int) -> int:
    """Radius in subpixels; the diameter is low to high per mille of the side, often small."""
    share = low + (high - low) * min(draws.below(1000), draws.below(1000)) // 1000
    return share * size * SUPERSAMPLING // 2000


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
        The scene; distractors first and last, objects between, each at most partly covered.
    """
    draws = Draws(recipe, stream=0)
    size = recipe.size
    shapes = list(objects().values())
    blobs = list(distractors().values())
    things: list[Thing] = []

    def add_distractors(count: int, low: int, high: int, under: list[Thing]) -> None:
        for _ in range(count):
            blob = blobs[draws.below(len(blobs))]
            radius = _radius(draws, size, low, high)
            thing = _put(draws, size, blob, -1, radius, under)
            if thing is not None:
                things.append(thing)

    add_distractors(draws.between(3, 8), 60, 300, [])
    placed: list[Thing] = []
    for label in _object_labels(draws):
        radius = _radius(draws, size, 100, 310)
        thing = _put(draws, size, shapes[label], label, radius, placed)
        if thing is not None:
            placed.append(thing)
    things += placed
    add_distractors(draws.between(0, 2), 50, 120, placed)
    return Scene(recipe, tuple(things))
