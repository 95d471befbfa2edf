"""EdgeBoxes on plain colour edges: no model file, a few hundredths of a second an image.

C. L. Zitnick, P. Dollar, "Edge Boxes: Locating Object Proposals from Edges", ECCV 2014: a box is
scored by the contours that lie wholly inside it. The search is OpenCV's; edges and the order of the
boxes are ours.
"""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from boxless.errors import ConfigError, MissingExtraError
from boxless.metrics.boxes import clip, rescale
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

    from boxless.proposals.edge_map import gradient, orientation, thin
except ImportError as error:
    raise MissingExtraError("opencv-contrib-python-headless", "train") from error

if TYPE_CHECKING:
    from boxless.proposals.proposer import Setting
    from boxless.types import Float32Array, UInt8Array

RECIPE = 2  # raise it when a change of code changes boxes: old stores then no longer fit
SMALLEST_SEARCHED = 16  # pixels; in a narrower image there is nothing to search
CANDIDATES = 2  # boxes asked of OpenCV for each box wanted: ordering needs a choice
CANDIDATE_OVERLAP = 0.75  # IoU above which OpenCV drops the weaker of two candidates
LONGEST = 4.0  # longer side / shorter side of a box


@dataclass(frozen=True, slots=True)
class EdgeBoxes:
    """Proposer that scores boxes by the contours they enclose.

    An image without usable edges (blank, or a few pixels wide) still gets ``AT_LEAST`` boxes (fewer
    if ``max_boxes`` is less): missing ones are taken from the grid, whole image first, behind the
    found ones and with the lowest score found; with score 1 where nothing was found.

    Attributes:
        max_boxes: Most boxes an image, at least 1.
        size: The image is searched with its longer side at this many pixels, 32 to 2048.
        min_box_size: Shortest side of a box, in pixels of the original image; in images whose
            shorter side is below 8 times that, an eighth of the shorter side.
        step: IoU of neighbouring boxes in the search ("alpha"), in [0.3, 0.9]; more is finer and
            slower.

    Raises:
        ConfigError: A value is out of range.
        MissingExtraError: OpenCV, or its contrib part, is not installed.
    """

    max_boxes: int = 500
    size: int = 200
    min_box_size: float = 20.0
    step: float = 0.55

    def __post_init__(self) -> None:
        if not hasattr(cv2, "ximgproc"):
            raise MissingExtraError("opencv-contrib-python-headless", "train")
        ranges = {
            "max_boxes": (1, 100_000),
            "size": (32, 2048),
            "min_box_size": (0, 10_000),
            "step": (0.3, 0.9),
        }
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigError(f"{name} must be in [{low}, {high}], found {value}")

    @property
    def name(self) -> str:
        """``"edge_boxes"``."""
        return "edge_boxes"

    @property
    def settings(self) -> "dict[str, Setting]":
        """The constructor's values, and the version of the recipe behind them."""
        return {**asdict(self), "recipe": RECIPE}

    def __call__(self, image: "UInt8Array") -> "tuple[Float32Array, Float32Array]":
        """See `Proposer.__call__`."""
        height, width = image.shape[:2]
        boxes, scores = self._search(image)
        boxes = on_lattice(clip(boxes, width, height), width, height)
        usable = large_enough(boxes, smallest_side(self.min_box_size, width, height))
        boxes, scores = boxes[usable], scores[usable]
        order = diverse_order(boxes, STAGES, self.max_boxes)
        return top_up(boxes[order], scores[order], width, height, min(AT_LEAST, self.max_boxes))

    def _search(self, image: "UInt8Array") -> "tuple[Float32Array, Float32Array]":
        """Run OpenCV's search; (R, 4) boxes in pixels of ``image``, (R,) scores, best first."""
        height, width = image.shape[:2]
        scale = self.size / max(height, width)
        small = (round(width * scale), round(height * scale))
        nothing = np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
        if min(small) < SMALLEST_SEARCHED:
            return nothing
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        edges = gradient(cv2.resize(image, small, interpolation=way))
        if not edges.any():
            return nothing
        angles = orientation(edges)
        smallest = smallest_side(self.min_box_size, width, height) * scale
        search = cv2.ximgproc.createEdgeBoxes(
            alpha=self.step,
            beta=CANDIDATE_OVERLAP,
            maxAspectRatio=LONGEST,
            maxBoxes=CANDIDATES * self.max_boxes,
            minBoxArea=max(50.0, smallest**2),
        )
        found = search.getBoundingBoxes(thin(edges, angles), angles)
        boxes, scores = _as_arrays(found)
        sound = np.isfinite(scores) & (scores > 0)
        order = np.argsort(-scores[sound], kind="stable")
        boxes = rescale(boxes[sound][order], width / small[0], height / small[1])
        return boxes, half(scores[sound][order])


def _as_arrays(found: Any) -> "tuple[Float32Array, Float32Array]":
    """Boxes (x, y, w, h) and scores from OpenCV, as xyxy and scores.

    Old bindings return the boxes alone, best first; their scores then fall evenly from 1.
    """
    raw = found[0] if isinstance(found, tuple) else found
    boxes = np.array(raw, np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    if isinstance(found, tuple) and len(found) > 1:
        if len(boxes) == 0:  # one meaningless score comes along where no box was found
            return boxes, np.zeros(0, np.float32)
        return boxes, np.asarray(found[1], np.float32).reshape(-1)
    return boxes, np.linspace(1, 0, len(boxes), endpoint=False, dtype=np.float32)
