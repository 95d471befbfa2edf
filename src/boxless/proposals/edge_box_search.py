"""EdgeBoxes on plain colour edges: no model file, a few hundredths of a second per image.

C. L. Zitnick, P. Dollar, "Edge Boxes: Locating Object Proposals from Edges", ECCV 2014: a box is
scored by the contours that lie wholly inside it. The search is OpenCV's; edges and the order of the
boxes are ours. The structured forest that usually feeds the search needs a model file; colour
gradients at two scales, thinned to ridges, do nearly as well for proposals and need none.
"""

from dataclasses import asdict, dataclass
from typing import ClassVar

import numpy as np

from boxless.proposals.index import Setting
from boxless.proposals.opencv import cv2, in_original, resized, ximgproc
from boxless.proposals.precision import half
from boxless.proposals.selection import (
    AT_LEAST,
    STAGES,
    diverse_order,
    require_ranges,
    smallest_side,
    top_up,
    usable,
)
from boxless.types import Float32Array, UInt8Array

RECIPE = 3  # raise it when a change of code changes boxes: old stores then no longer fit
CANDIDATES = 2  # boxes asked of OpenCV for each box wanted: ordering needs a choice
CANDIDATE_OVERLAP = 0.75  # IoU above which OpenCV drops the weaker of two candidates
LONGEST = 4.0  # longer side / shorter side of a box
FAINTEST_PIXEL = 0.2  # share of a full edge below which a pixel belongs to no group of edges
FAINTEST_GROUP = 2.0  # strength in all below which a group is joined to its neighbour
LOWEST_SCORE = 0.03  # below it a candidate is not looked at further
"""The last three: OpenCV's 0.1, 0.5 and 0.01 take three times as long for the same recall (0.674
beside 0.673 at IoU 0.5, 0.415 beside 0.402 at 0.7; 100 boxes, 320 training images of VOC 2007)."""
BLURS = (1.0, 2.0)  # standard deviations in pixels: fine edges, and those that survive at distance
ORIENTATION_BLUR = 1.0
STRONG = 99.0  # percentile of the gradient that counts as a full edge
TINY = np.float32(1e-7)
FAINTEST = 0.004  # gradients below this are noise, whatever their rank; Lab / 100 a pixel


@dataclass(frozen=True, slots=True)
class EdgeBoxes:
    """Proposer that scores boxes by the contours they enclose.

    An image without usable edges (blank, or a few pixels wide) still gets ``AT_LEAST`` boxes (fewer
    if ``max_boxes`` is less): missing ones are taken from the grid, whole image first, behind the
    found ones and with the lowest score found; with score 1 where nothing was found.

    Attributes:
        max_boxes: Most boxes per image, at least 1.
        size: The image is searched with its longer side at this many pixels, 32 to 2048.
        min_box_size: Shortest side of a box, in pixels of the original image; in images whose
            shorter side is below 8 times that, an eighth of the shorter side.
        step: IoU of neighbouring boxes in the search ("alpha"), in [0.3, 0.9]; more is finer and
            slower.

    Raises:
        ConfigError: A value is out of range.
        MissingExtraError: OpenCV, or its contrib part, is not installed.
    """

    name: ClassVar = "edge_boxes"
    max_boxes: int = 500
    size: int = 200
    min_box_size: float = 20.0
    step: float = 0.55

    def __post_init__(self) -> None:
        ximgproc()
        require_ranges(
            self,
            max_boxes=(1, 100_000),
            size=(32, 2048),
            min_box_size=(0, 10_000),
            step=(0.3, 0.9),
        )

    @property
    def settings(self) -> dict[str, Setting]:
        """The constructor's values, and the version of the recipe behind them."""
        return {**asdict(self), "recipe": RECIPE}

    def __call__(self, image: UInt8Array) -> tuple[Float32Array, Float32Array]:
        """See `Proposer.__call__`."""
        height, width = image.shape[:2]
        boxes, scores = self._search(image)
        boxes, scores = usable(boxes, scores, width, height, self.min_box_size)
        order = diverse_order(boxes, STAGES, self.max_boxes)
        return top_up(boxes[order], scores[order], width, height, min(AT_LEAST, self.max_boxes))

    def _search(self, image: UInt8Array) -> tuple[Float32Array, Float32Array]:
        """Run OpenCV's search; (R, 4) boxes in pixels of ``image``, (R,) scores, best first."""
        height, width = image.shape[:2]
        small = resized(image, self.size)
        edges = None if small is None else gradient(small)
        if small is None or edges is None or not edges.any():
            return np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
        angles = orientation(edges)
        scale = self.size / max(height, width)
        smallest = smallest_side(self.min_box_size, width, height) * scale
        search = ximgproc().createEdgeBoxes(
            alpha=self.step,
            beta=CANDIDATE_OVERLAP,
            maxAspectRatio=LONGEST,
            maxBoxes=CANDIDATES * self.max_boxes,
            minBoxArea=max(50.0, smallest**2),
            edgeMinMag=FAINTEST_PIXEL,
            clusterMinMag=FAINTEST_GROUP,
            minScore=LOWEST_SCORE,
        )
        found, strengths = search.getBoundingBoxes(thin(edges, angles), angles)
        boxes = in_original(found, small, image)
        # One meaningless score comes along where no box was found.
        scores = np.asarray(strengths, np.float32).reshape(-1)[: len(boxes)]
        order = np.argsort(-scores, kind="stable")
        order = order[np.isfinite(scores[order]) & (scores[order] > 0)]
        return boxes[order], half(scores[order])


def gradient(image: UInt8Array) -> Float32Array:
    """Strength (H, W) in [0, 1] of colour edges of an (H, W, 3) image; all 0 where it is flat.

    Each Lab channel is blurred, differentiated, and the strongest channel taken at each pixel;
    strengths at the scales in ``BLURS`` are averaged, each times its blur, as blurring by s divides
    the slope of a step by s.
    """
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB) / np.float32(100)
    total = np.zeros(image.shape[:2], np.float32)
    for blur in BLURS:
        smooth = cv2.GaussianBlur(lab, (0, 0), blur)
        across, down = (
            cv2.Sobel(smooth, cv2.CV_32F, *axis, ksize=3, scale=0.125) for axis in ((1, 0), (0, 1))
        )
        total += blur * np.sqrt(np.maximum.reduce(cv2.split(across**2 + down**2)))
    total /= len(BLURS)
    strong = float(np.percentile(total, STRONG))
    if strong < FAINTEST:
        return np.zeros_like(total)
    edges: Float32Array = np.minimum(total / np.float32(strong), np.float32(1))
    return edges


def orientation(edges: Float32Array) -> Float32Array:
    """Direction across the edge at each pixel of (H, W) edges, in [0, pi).

    The ridge direction of the blurred edge map from its second derivatives, the formula of the
    structured-forest toolbox (Dollar & Zitnick, "Structured Forests for Fast Edge Detection",
    ICCV 2013): arctan(Eyy * sign(-Exy) / Exx) mod pi. Where Exy is 0 its sign is taken as 1 and a
    vanishing Exx as tiny, so that exactly horizontal edges get pi / 2; the formula itself gives 0.
    It is exact along both axes and leans towards them in between. The exact ridge direction, half
    the angle of (Exx - Eyy, 2 Exy), finds fewer objects.
    """
    smooth = cv2.GaussianBlur(edges, (0, 0), ORIENTATION_BLUR)
    dx, dy = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    dxx, dxy = cv2.Sobel(dx, cv2.CV_32F, 1, 0), cv2.Sobel(dx, cv2.CV_32F, 0, 1)
    dyy = cv2.Sobel(dy, cv2.CV_32F, 0, 1)
    sign = np.where(dxy > 0, np.float32(-1), np.float32(1))
    slope = dyy * sign / np.where(np.abs(dxx) < TINY, TINY, dxx)
    angles: Float32Array = np.mod(np.arctan(slope), np.float32(np.pi))
    return angles


def thin(edges: Float32Array, angles: Float32Array) -> Float32Array:
    """Keep an edge only where it is strongest along the direction across it; 0 off the ridges."""
    height, width = edges.shape
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    step_x, step_y = np.cos(angles), np.sin(angles)
    ridge = edges.copy()
    for side in (-1, 1):
        neighbour = cv2.remap(
            edges,
            columns + side * step_x,
            rows + side * step_y,
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        ridge[edges < neighbour] = 0
    return ridge
