"""A fixed grid of boxes: many sizes and shapes, the same for every image.

It needs no package and no edges, so it serves as the fallback of other proposers, as a quick way
to try the pipeline, and as the bar that a real proposer must clear.
"""

from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import product
from typing import ClassVar

import numpy as np

from boxless.errors import ConfigError
from boxless.proposals.index import Setting
from boxless.proposals.precision import on_lattice
from boxless.types import Float32Array, UInt8Array

RECIPE = 2  # raise it when a change of code changes boxes: old stores then no longer fit
SHAPES = (1.0, 0.5, 2.0)  # width / height, relative to the image's own shape
SHRINK = 0.75  # side of a level / side of the coarser level
STEP = 0.3  # distance of neighbours / their side: neighbours overlap with an IoU of about .54
GOLDEN = (5**0.5 - 1) / 2


@lru_cache(maxsize=8)
def unit_grid(count: int) -> Float32Array:
    """Boxes (count, 4) in the unit square, coarse to fine; read-only, as calls share them.

    The first box is the whole image. Within a level the order jumps about (golden-ratio sequence),
    so that any prefix of the list covers the image evenly.
    """
    levels = [np.array([[0.0, 0.0, 1.0, 1.0]])]
    have, side = 1, SHRINK
    while have < count:
        level = np.concatenate([_lattice(side, shape) for shape in SHAPES])
        jump = np.argsort(np.arange(len(level)) * GOLDEN % 1, kind="stable")
        levels.append(level[jump])
        have, side = have + len(level), side * SHRINK
    boxes = np.concatenate(levels)[:count].astype(np.float32)
    boxes.flags.writeable = False
    return boxes


def _lattice(side: float, shape: float) -> np.ndarray:
    """Evenly spaced (n, 4) boxes of area ``side**2``, touching all four borders."""
    width, height = min(1.0, side * shape**0.5), min(1.0, side / shape**0.5)
    lefts, tops = (
        np.linspace(0, 1 - extent, 1 + round((1 - extent) / (STEP * extent)))
        for extent in (width, height)
    )
    return np.array([(x, y, x + width, y + height) for y, x in product(tops, lefts)])


def grid_boxes(width: int, height: int, count: int) -> Float32Array:
    """The grid (count, 4) of an image, coarse to fine; the first box is the whole image."""
    size = np.array([width, height, width, height], np.float32)
    return on_lattice(np.minimum(unit_grid(count) * size, size), width, height)


@dataclass(frozen=True, slots=True)
class Grid:
    """Proposer of a fixed grid.

    Every image gets exactly ``max_boxes`` boxes. The scores are all 1: the grid has no opinion
    which box is better, and its order is merely coarse to fine.

    Attributes:
        max_boxes: Number of boxes per image, at least 1.

    Raises:
        ConfigError: ``max_boxes`` is below 1.
    """

    name: ClassVar = "grid"
    max_boxes: int = 500

    def __post_init__(self) -> None:
        if self.max_boxes < 1:
            raise ConfigError(f"max_boxes must be at least 1, found {self.max_boxes}")

    @property
    def settings(self) -> dict[str, Setting]:
        """The constructor's values, and the version of the recipe behind them."""
        return {**asdict(self), "recipe": RECIPE}

    def __call__(self, image: UInt8Array) -> tuple[Float32Array, Float32Array]:
        """See `Proposer.__call__`."""
        height, width = image.shape[:2]
        boxes = grid_boxes(width, height, self.max_boxes)
        return boxes, np.ones(len(boxes), np.float32)
