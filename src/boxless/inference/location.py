"""Localization: from class maps to heat maps and boxes, with numpy alone.

A class map holds the evidence for one class, cell by cell (class activation mapping: Zhou et al.,
"Learning Deep Features for Discriminative Localization", CVPR 2016). What its cells show in any
image, whatever is in it, is taken off first: padding makes the corners of small maps stand out.
Then it is enlarged, scaled to [0, 1] and cut at a share of its maximum; the box goes round the
largest connected part.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from boxless.errors import ConfigError, NumericsError, ShapeError
from boxless.types import Float32Array, Float64Array

GRID = 96
"""Side of the grid on which parts are found; a box is exact to 1/96 of the image's sides."""


@dataclass(frozen=True, slots=True)
class LocationSettings:
    """How boxes are made of class maps; plain numbers, so that it can stand in a file's metadata.

    Attributes:
        method: ``threshold``: the largest connected part at or above `share` of the maximum.
        share: Share of the scaled map's maximum, in (0, 1). Zhou et al. take 0.2 on maps of finer
            cells; 0.5 was best on held-out images (docs/thresholds-and-location.md).
        shift: How far the map's cells look right of and below their place, as a share of the
            input's side. 0 but in students that earlier versions exported (docs/decisions/0011).
        background: h rows of w numbers, what the cells show on the mean over images and classes;
            taken off every map before anything else. () = nothing.
    """

    method: Literal["threshold"] = "threshold"
    share: float = 0.5
    shift: float = 0.0
    background: tuple[tuple[float, ...], ...] = ()

    def __post_init__(self) -> None:
        if self.method != "threshold":
            raise ConfigError(f"location method must be 'threshold', found {self.method!r}")
        if not 0 < self.share < 1:
            raise ConfigError(f"location share must be between 0 and 1, found {self.share}")
        if not abs(self.shift) < 1:
            raise ConfigError(f"location shift must be between -1 and 1, found {self.shift}")
        even = len({len(row) for row in self.background}) <= 1
        if not even or not np.isfinite(self.cells).all():
            raise ConfigError("location background must be rows of equally many finite numbers")

    @property
    def cells(self) -> Float64Array:
        """`background` as an array; (0,) without any."""
        return np.array(self.background, np.float64)


DEFAULT = LocationSettings()


@dataclass(frozen=True, slots=True)
class LocatedBox:
    """One box that nobody drew.

    Attributes:
        label: Class index.
        x1: Left side in pixels of the image as shown; ends are exclusive.
        y1: Upper side.
        x2: Right side.
        y2: Lower side.
        score: In [0, 1]: the class's probability by its map, ``sigmoid(mean of the map)``.
    """

    label: int
    x1: float
    y1: float
    x2: float
    y2: float
    score: float


def locate(
    maps: Float32Array,
    size: tuple[int, int],
    classes: Sequence[int],
    settings: LocationSettings = DEFAULT,
) -> list[LocatedBox]:
    """Boxes of some classes.

    Args:
        maps: (K, h, w) class maps of one image.
        size: Width and height of the image as shown, in pixels.
        classes: Class indices that boxes are wanted for.
        settings: How boxes are made.

    Returns:
        One box per class, in the order of `classes`. A map without any difference between its cells
        gives the whole image.

    Raises:
        ShapeError: If maps, size or a class index make no sense.
        NumericsError: If a map holds NaN or infinity.
    """
    if maps.ndim != 3:
        raise ShapeError(f"class maps must be (K, h, w), found {maps.shape}")
    width, height = _checked_size(size)
    boxes = []
    for k in classes:
        if not 0 <= k < len(maps):
            raise ShapeError(f"class index {k} is outside 0 to {len(maps) - 1}")
        heat = _heat(_above_background(maps[k], settings), (GRID, GRID), settings.shift)
        x1, y1, x2, y2 = largest_part(heat >= settings.share * heat.max())
        score = 1 / (1 + np.exp(-np.clip(maps[k].mean(dtype=np.float64), -60, 60)))
        columns, rows = width / GRID, height / GRID
        boxes.append(
            LocatedBox(k, x1 * columns, y1 * rows, x2 * columns, y2 * rows, score=float(score))
        )
    return boxes


def peak(
    values: Float32Array, size: tuple[int, int], settings: LocationSettings = DEFAULT
) -> tuple[float, float]:
    """Pixel ``(x, y)`` where a class map (h, w) is strongest: the middle of its best cell.

    Of equal cells the upper left one. Only `shift` and `background` of the settings count here.

    Raises:
        ShapeError: If the map is no matrix, or does not fit its background.
    """
    width, height = _checked_size(size)
    shown = _above_background(values, settings)
    row, column = np.unravel_index(int(shown.argmax()), shown.shape)
    x = (column + 0.5) / shown.shape[1] + settings.shift
    y = (row + 0.5) / shown.shape[0] + settings.shift
    return float(np.clip(x, 0, 1) * width), float(np.clip(y, 0, 1) * height)


def heat_map(
    values: Float32Array, size: tuple[int, int], settings: LocationSettings = DEFAULT
) -> Float32Array:
    """A class map (h, w) as large as its image: (H, W) in [0, 1], bilinear.

    Least cell 0, greatest 1; all 0 for a map without differences. Only `shift` and `background` of
    the settings count here.

    Raises:
        ShapeError: If the map is no matrix or the size is not positive.
        NumericsError: If the map holds NaN or infinity.
    """
    width, height = _checked_size(size)
    shown = _above_background(values, settings)
    return _heat(shown, (height, width), settings.shift).astype(np.float32)


def largest_part(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Box ``(x1, y1, x2, y2)`` in cells of the largest connected part of a mask (H, W).

    Neighbours are left, right, above and below; of parts of one size the upper one. Raises
    `ShapeError` if nothing is true.
    """
    parts = connected_parts(mask)
    if not parts:
        raise ShapeError("no cell of the mask is true")
    return max(parts, key=lambda part: part[4])[:4]


def connected_parts(mask: NDArray[np.bool_]) -> list[tuple[int, int, int, int, int]]:
    """``(x1, y1, x2, y2, cells)`` of all connected parts of a mask, from above."""
    parent: list[int] = []
    runs: list[tuple[int, int, int]] = []
    above: list[int] = []
    for y, row in enumerate(mask):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(np.int8), [0]])))
        current = []
        for start, end in edges.reshape(-1, 2).tolist():
            number = len(runs)
            runs.append((y, start, end))
            parent.append(number)
            current.append(number)
            for other in above:
                if runs[other][1] < end and start < runs[other][2]:
                    _join(parent, number, other)
        above = current
    parts: dict[int, tuple[int, int, int, int, int]] = {}
    for number, (y, start, end) in enumerate(runs):
        root = _root(parent, number)
        x1, y1, x2, y2, cells = parts.get(root, (start, y, end, y + 1, 0))
        count = cells + end - start
        parts[root] = (min(x1, start), min(y1, y), max(x2, end), max(y2, y + 1), count)
    return list(parts.values())


def _root(parent: list[int], number: int) -> int:
    while parent[number] != number:
        parent[number] = parent[parent[number]]
        number = parent[number]
    return number


def _join(parent: list[int], first: int, second: int) -> None:
    a, b = _root(parent, first), _root(parent, second)
    parent[max(a, b)] = min(a, b)


def _above_background(values: Float32Array, settings: LocationSettings) -> Float64Array:
    """A checked (h, w) map without what its cells show in any image."""
    if values.ndim != 2 or not values.size:
        raise ShapeError(f"a class map must be (h, w) with at least one cell, found {values.shape}")
    if not np.isfinite(values).all():
        raise NumericsError("a class map must be finite", hint="the student has diverged")
    shown = values.astype(np.float64)
    if not settings.background:
        return shown
    if settings.cells.shape != shown.shape:
        raise ShapeError(
            f"the background has {settings.cells.shape} cells, the class map {shown.shape}"
        )
    return shown - settings.cells


def _heat(values: Float64Array, shape: tuple[int, int], shift: float) -> Float64Array:
    """(H, W) map in [0, 1], enlarged; 0 throughout where all cells are equal."""
    rows = _interpolation(values.shape[0], shape[0], shift)
    columns = _interpolation(values.shape[1], shape[1], shift)
    low, high = float(values.min()), float(values.max())
    if high == low:
        return np.zeros(shape)
    scaled = (values - low) / (high - low)
    return np.clip(rows @ scaled @ columns.T, 0, 1)


@lru_cache(maxsize=32)
def _interpolation(cells: int, pixels: int, shift: float) -> Float64Array:
    """(pixels, cells) weights: each pixel's middle between the middles of two cells."""
    place = ((np.arange(pixels) + 0.5) / pixels - shift) * cells - 0.5
    place = np.clip(place, 0, cells - 1)
    left = np.minimum(place.astype(int), max(cells - 2, 0))
    right = np.minimum(left + 1, cells - 1)
    weights = np.zeros((pixels, cells))
    rows = np.arange(pixels)
    np.add.at(weights, (rows, left), 1 - (place - left))
    np.add.at(weights, (rows, right), place - left)
    weights.flags.writeable = False  # shared by all who ask
    return weights


def _checked_size(size: tuple[int, int]) -> tuple[int, int]:
    width, height = size
    if width < 1 or height < 1:
        raise ShapeError(f"an image has at least one pixel, found width {width}, height {height}")
    return width, height
