"""Selective search: boxes of the regions that a hierarchical grouping of an image passes through.

J. R. R. Uijlings et al., "Selective Search for Object Recognition", IJCV 104 (2013): segments of
alike pixels are merged, the most similar neighbours first, until one is left; the box of each
segment ever seen is a proposal. Segmentation and grouping are OpenCV's; the order of the boxes is
ours, as OpenCV's depends on the C library's random numbers and differs from call to call.
"""

from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

from boxless.errors import ConfigError
from boxless.metrics.boxes import area
from boxless.proposals.index import Setting
from boxless.proposals.opencv import cv2, in_original, resized, ximgproc
from boxless.proposals.precision import half
from boxless.proposals.selection import (
    AT_LEAST,
    STAGES,
    diverse_order,
    require_ranges,
    top_up,
    usable,
)
from boxless.types import Float32Array, UInt8Array

RECIPE = 2  # raise it when a change of code changes boxes: old stores then no longer fit
MODES = {"fast": "switchToSelectiveSearchFast", "quality": "switchToSelectiveSearchQuality"}


@dataclass(frozen=True, slots=True)
class SelectiveSearch:
    """Proposer that groups alike pixels into ever larger regions.

    The order is the paper's (section 3.4): the box at position i, counted from the whole image
    down, gets the value i times a random number in [0, 1), and the smallest value comes first. The
    position is the rank by area, which stands for the depth in the hierarchy; the random numbers
    have a fixed seed. Of the boxes in that order those come first that differ from each other.

    The method has no score of its own, so the score is made from the rank: of n boxes the best has
    1, the next (n - 1)/n, the last 1/n. It says which box comes before which, nothing more.

    An image with too few regions still gets ``AT_LEAST`` boxes (fewer if ``max_boxes`` is less):
    missing ones are taken from the grid, with the lowest score found.

    Attributes:
        mode: ``"fast"`` (2 colour spaces, 3 segmentations, 2 similarities) or ``"quality"`` (5, 5
            and 4): about three times as many regions in about three times the time.
        max_boxes: Most boxes per image, at least 1.
        size: The image is searched with its longer side at this many pixels, 32 to 1024: the bound
            keeps the time per image within limits.
        min_box_size: Shortest side of a box, in pixels of the original image; in images whose
            shorter side is below 8 times that, an eighth of the shorter side.
        seed: Seed of the random numbers in the order.

    Raises:
        ConfigError: A value is out of range.
        MissingExtraError: OpenCV, or its contrib part, is not installed.
    """

    mode: Literal["fast", "quality"] = "fast"
    max_boxes: int = 500
    size: int = 200
    min_box_size: float = 20.0
    seed: int = 0

    def __post_init__(self) -> None:
        ximgproc()
        if self.mode not in MODES:
            raise ConfigError(f"mode must be one of {', '.join(MODES)}, found {self.mode!r}")
        require_ranges(
            self,
            max_boxes=(1, 100_000),
            size=(32, 1024),
            min_box_size=(0, 10_000),
            seed=(0, 2**32 - 1),
        )

    @property
    def name(self) -> str:
        """``"selective_search_fast"`` or ``"selective_search_quality"``."""
        return f"selective_search_{self.mode}"

    @property
    def settings(self) -> dict[str, Setting]:
        """The constructor's values, and the version of the recipe behind them."""
        return {**asdict(self), "recipe": RECIPE}

    def __call__(self, image: UInt8Array) -> tuple[Float32Array, Float32Array]:
        """See `Proposer.__call__`."""
        height, width = image.shape[:2]
        found = self._search(image)
        boxes, _ = usable(found, np.zeros(len(found), np.float32), width, height, self.min_box_size)
        boxes = boxes[uijlings_order(boxes, self.seed)]
        boxes = boxes[diverse_order(boxes, STAGES, self.max_boxes)]
        scores = half(np.linspace(1, 0, len(boxes), endpoint=False, dtype=np.float32))
        return top_up(boxes, scores, width, height, min(AT_LEAST, self.max_boxes))

    def _search(self, image: UInt8Array) -> Float32Array:
        """Run OpenCV's search; (R, 4) boxes in pixels of ``image``, in no useful order."""
        small = resized(image, self.size)
        # OpenCV divides by the range of the gradients, so there must be one.
        if small is None or (small == small[0, 0]).all():
            return np.zeros((0, 4), np.float32)
        search = ximgproc().segmentation.createSelectiveSearchSegmentation()
        search.setBaseImage(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
        getattr(search, MODES[self.mode])()
        return in_original(search.process(), small, image)


def uijlings_order(boxes: Float32Array, seed: int) -> np.ndarray:
    """The paper's random order (R,) of boxes (R, 4); favours regions high in the hierarchy."""
    downwards = np.lexsort((*boxes.T, -area(boxes)))
    position = np.arange(1, len(boxes) + 1)
    value = position * np.random.default_rng(seed).random(len(boxes))
    order: np.ndarray = downwards[np.argsort(value, kind="stable")]
    return order
