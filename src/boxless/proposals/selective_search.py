"""Selective search: boxes of the regions that a hierarchical grouping of an image passes through.

J. R. R. Uijlings et al., "Selective Search for Object Recognition", IJCV 104 (2013): segments of
alike pixels are merged, the most similar neighbours first, until one is left; the box of each
segment ever seen is a proposal. Segmentation and grouping are OpenCV's; the order of the boxes is
ours, as OpenCV's depends on the C library's random numbers and differs from call to call.
"""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from boxless.errors import ConfigError, MissingExtraError
from boxless.metrics.boxes import area, clip, rescale
from boxless.proposals.precision import half, on_lattice
from boxless.proposals.selection import (
    AT_LEAST,
    STAGES,
    diverse_order,
    large_enough,
    smallest_side,
    top_up,
)

try:
    import cv2
except ImportError as error:
    raise MissingExtraError("opencv-contrib-python-headless", "train") from error

if TYPE_CHECKING:
    from boxless.proposals.proposer import Setting
    from boxless.types import Float32Array, UInt8Array

RECIPE = 2  # raise it when a change of code changes boxes: old stores then no longer fit
SMALLEST_SEARCHED = 16  # pixels; in a narrower image there is nothing to search
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
        max_boxes: Most boxes an image, at least 1.
        size: The image is searched with its longer side at this many pixels, 32 to 1024: the bound
            keeps the time an image within limits.
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
        if not hasattr(cv2, "ximgproc"):
            raise MissingExtraError("opencv-contrib-python-headless", "train")
        if self.mode not in MODES:
            raise ConfigError(f"mode must be one of {', '.join(MODES)}, found {self.mode!r}")
        ranges = {
            "max_boxes": (1, 100_000),
            "size": (32, 1024),
            "min_box_size": (0, 10_000),
            "seed": (0, 2**32 - 1),
        }
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigError(f"{name} must be in [{low}, {high}], found {value}")

    @property
    def name(self) -> str:
        """``"selective_search_fast"`` or ``"selective_search_quality"``."""
        return f"selective_search_{self.mode}"

    @property
    def settings(self) -> "dict[str, Setting]":
        """The constructor's values, and the version of the recipe behind them."""
        return {**asdict(self), "recipe": RECIPE}

    def __call__(self, image: "UInt8Array") -> "tuple[Float32Array, Float32Array]":
        """See `Proposer.__call__`."""
        height, width = image.shape[:2]
        boxes = on_lattice(clip(self._search(image), width, height), width, height)
        boxes = boxes[large_enough(boxes, smallest_side(self.min_box_size, width, height))]
        boxes = boxes[uijlings_order(boxes, self.seed)]
        boxes = boxes[diverse_order(boxes, STAGES, self.max_boxes)]
        scores = half(np.linspace(1, 0, len(boxes), endpoint=False, dtype=np.float32))
        return top_up(boxes, scores, width, height, min(AT_LEAST, self.max_boxes))

    def _search(self, image: "UInt8Array") -> "Float32Array":
        """Run OpenCV's search; (R, 4) boxes in pixels of ``image``, in no useful order."""
        height, width = image.shape[:2]
        scale = self.size / max(height, width)
        small = (round(width * scale), round(height * scale))
        if min(small) < SMALLEST_SEARCHED:
            return np.zeros((0, 4), np.float32)
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        resized = cv2.resize(image, small, interpolation=way)
        if (resized == resized[0, 0]).all():  # OpenCV divides by the range of the gradients
            return np.zeros((0, 4), np.float32)
        search = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
        search.setBaseImage(cv2.cvtColor(resized, cv2.COLOR_RGB2BGR))
        getattr(search, MODES[self.mode])()
        boxes = np.array(search.process(), np.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        return rescale(boxes, width / small[0], height / small[1])


def uijlings_order(boxes: "Float32Array", seed: int) -> "np.ndarray":
    """The paper's random order that favours regions near the top of the hierarchy.

    Args:
        boxes: (R, 4) boxes; their own order does not matter.
        seed: Same seed, same order.

    Returns:
        (R,) indices.
    """
    downwards = np.lexsort((*boxes.T, -area(boxes)))
    position = np.arange(1, len(boxes) + 1)
    value = position * np.random.default_rng(seed).random(len(boxes))
    order: np.ndarray = downwards[np.argsort(value, kind="stable")]
    return order
