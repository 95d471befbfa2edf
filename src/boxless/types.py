"""Plain values that cross rooms.

Shape legend, used in every docstring:

    N  images in a batch          M  images in a data set
    K  classes                    R  regions (proposals) of one image
    C  channels                   H, W  rows and columns of a map or image
    B  bins a region is pooled to (B = bins per side, so B * B cells)

Boxes are float ``(x1, y1, x2, y2)``: continuous coordinates in pixels, ``(0, 0)`` the outer corner
of the first pixel, ends exclusive, so a box covering a whole W x H image is ``(0, 0, W, H)``.
Labels are int8: 1 present, 0 absent, -1 unknown (neither positive nor negative).
"""

from dataclasses import dataclass, field
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
Int8Array = NDArray[np.int8]
UInt8Array = NDArray[np.uint8]

PRESENT, ABSENT, UNKNOWN = 1, 0, -1

ProposalMethod = Literal[
    "edge_boxes",
    "selective_search_fast",
    "selective_search_quality",
    "grid",
    "faster_rcnn",
    "file",
]
"""Ways to propose regions, for recipes, commands and proposers alike."""

PROPOSAL_METHODS: Final[tuple[str, ...]] = get_args(ProposalMethod)

_SPELLINGS: Final = {
    "edgeboxes": "edge_boxes",
    "edgebox": "edge_boxes",
    "fasterrcnn": "faster_rcnn",
    "selectivesearchfast": "selective_search_fast",
    "selectivesearchquality": "selective_search_quality",
}


def proposal_method(text: str) -> str:
    """A proposal method as it is written here: `edge_boxes` for EdgeBoxes, edge-boxes, edgebox.

    Args:
        text: What a user wrote.

    Returns:
        The name where it is another spelling of one, else the text in lower case.
    """
    plain = text.strip().lower().replace("-", "_").replace(" ", "_")
    return _SPELLINGS.get(plain.replace("_", ""), plain)


@dataclass(frozen=True, slots=True)
class TrueBox:
    """One annotated object. Used to evaluate localisation only; training never sees one.

    Attributes:
        label: Index of the class in the manifest's ``classes``.
        xyxy: Box in pixels of the original image.
        difficult: Marked as hard to recognise; ignored by VOC evaluation.
    """

    label: int
    xyxy: tuple[float, float, float, float]
    difficult: bool = False


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image and its tags.

    Attributes:
        image_id: Unique within the manifest.
        path: Absolute file path, or ``scenes:…`` for an image of the embedded data set.
        split: ``"train"`` or ``"test"`` (other names are kept as they are).
        labels: K values of {1, 0, -1}.
        boxes: True boxes, or None where the data set has none.
        source: Where the record was read, ``file:line`` or a file, for error messages.
        group: Images of one group, such as collages of the same photographs, always fall in the
            same fold or held-out part; an image without one is alone.
    """

    image_id: str
    path: str
    split: str
    labels: tuple[int, ...]
    boxes: tuple[TrueBox, ...] | None = None
    source: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True)
class Proposals:
    """Candidate boxes of one image, best first.

    Attributes:
        boxes: (R, 4) float32, pixels of the original image (after EXIF rotation).
        scores: (R,) float32 >= 0, the proposer's own confidence; 1 where it has none.
        width: Width of the original image in pixels.
        height: Height of the original image in pixels.
    """

    boxes: Float32Array
    scores: Float32Array
    width: int
    height: int

    def __len__(self) -> int:
        return int(self.boxes.shape[0])


@dataclass(frozen=True, slots=True)
class Detections:
    """Scored boxes of one image for all classes.

    Attributes:
        boxes: (D, 4) float32, pixels of the original image.
        scores: (D,) float32.
        labels: (D,) int64 class indices.
    """

    boxes: Float32Array
    scores: Float32Array
    labels: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
