"""Candidate boxes: proposers, the store of a data set's boxes, and its extraction."""

from typing import TYPE_CHECKING

import numpy as np

from boxless.errors import ShapeError
from boxless.proposals.store import ProposalStore
from boxless.types import Proposals

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["ProposalStore", "Proposals", "edge_boxes"]


def edge_boxes(image: "ArrayLike", max_boxes: int = 500, *, size: int = 200) -> Proposals:
    """Propose boxes around contours: no model file, some hundredths of a second per image.

    Zitnick, Dollar, "Edge Boxes: Locating Object Proposals from Edges", ECCV 2014
    (https://doi.org/10.1007/978-3-319-10602-1_26). The search is OpenCV's; its edges are plain
    colour gradients here, and boxes are ordered so that different ones come first.

    Args:
        image: (H, W, 3) RGB of uint8: an array, or a Pillow image.
        max_boxes: Most boxes, at least 1.
        size: The longer side of the image is searched at this many pixels, 32 to 2048.

    Returns:
        Boxes (R, 4) in pixels of the image, best first, with scores (R,); R is at least 1.

    Raises:
        ShapeError: The image has another shape or type.
        ConfigError: `max_boxes` or `size` is out of range.
        MissingExtraError: OpenCV, or its contrib part, is not installed.

    Example:
        >>> import numpy as np
        >>> from boxless.proposals import edge_boxes
        >>> image = np.full((150, 200, 3), 60, np.uint8)
        >>> image[30:100, 40:110] = 200  # a bright block on a plain ground
        >>> found = edge_boxes(image, max_boxes=20)
        >>> found.boxes.shape[1], found.width, found.height
        (4, 200, 150)
    """
    from boxless.proposals.edge_box_search import EdgeBoxes  # noqa: PLC0415  (OpenCV takes a while)

    pixels = np.asarray(image)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or not pixels.size:
        raise ShapeError(
            f"image must be (H, W, 3) RGB of uint8, found {pixels.shape} of {pixels.dtype}",
            hint="Image.open(path).convert('RGB') gives one; multiply floats in [0, 1] by 255",
        )
    boxes, scores = EdgeBoxes(max_boxes=max_boxes, size=size)(pixels)
    return Proposals(boxes, scores, width=pixels.shape[1], height=pixels.shape[0])
