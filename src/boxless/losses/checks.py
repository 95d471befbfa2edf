"""What callers give a loss, checked: a wrong input is an error that says so, never a loss of 0."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import torch
from torch import Tensor

from boxless.errors import DataError, NumericsError, ShapeError

FARTHEST: Final = 8.0
"""Unit boxes may leave a cropped view, but end within so many of its sides; others are pixels."""

ROUNDING: Final = 1e-3
"""How far a probability may lie outside [0, 1] by rounding alone."""


def check_maps(
    student: Tensor, teacher: Tensor, channels: tuple[int, int] | None, *, loss: str
) -> None:
    """Refuse maps that are not (N, C_S, h, w) and (N, C_T, H, W), or differ in images.

    Args:
        student: The student's.
        teacher: The teacher's.
        channels: C_S and C_T that the loss was built for; None = any.
        loss: Name for messages.

    Raises:
        ShapeError: A map has other axes or channels, or they differ in images.
    """
    for place, (name, maps) in enumerate((("student", student), ("teacher", teacher))):
        wanted = channels[place] if channels else None
        if maps.ndim != 4 or 0 in maps.shape or (wanted and maps.shape[1] != wanted):
            raise ShapeError(
                f"{loss}: {name}_map must be (images, {wanted or 'channels'}, rows, columns),"
                f" found {tuple(maps.shape)}",
                hint="take the map before pooling; tokens are reshaped to a map, NHWC is permuted",
            )
    if len(student) != len(teacher):
        raise ShapeError(
            f"{loss}: student_map has {len(student)} images and teacher_map has {len(teacher)}",
            hint="both maps must come from the same batch",
        )


def check_rows(first: Tensor, second: Tensor, names: tuple[str, str], *, loss: str) -> None:
    """Refuse inputs (`ShapeError`) that are not (N, K) matrices of one shape."""
    if first.ndim != 2 or first.shape != second.shape or not first.numel():
        raise ShapeError(
            f"{loss}: {names[0]} and {names[1]} must have one shape (images, classes), found"
            f" {tuple(first.shape)} and {tuple(second.shape)}",
            hint="class indices are turned into rows of 0 and 1 first",
        )


_trusting = False


@contextmanager
def trusted() -> Iterator[None]:
    """Look at the shapes of a loss's inputs alone: for who made the values and looked already.

    Looking at values waits for a GPU, in the middle of an update.
    """
    global _trusting  # noqa: PLW0603  (losses are called without being told by whom)
    before, _trusting = _trusting, True
    try:
        yield
    finally:
        _trusting = before


def values_trusted() -> bool:
    """Whether the values of inputs are not to be looked at; see `trusted`."""
    return _trusting


def check_probabilities(values: Tensor, *, name: str, loss: str) -> None:
    """Refuse values (`NumericsError`) that are not finite or not in [0, 1]."""
    if _trusting:
        return
    sound = (values >= -ROUNDING) & (values <= 1 + ROUNDING)  # NaN is neither
    if not bool(sound.all()):
        raise NumericsError(
            f"{loss}: {name} must be probabilities in [0, 1], found {float(values[~sound][0]):g}",
            hint="these look like logits; apply a sigmoid first",
        )


def check_regions(boxes: Tensor, images: int, *, name: str = "boxes") -> None:
    """Refuse boxes (`ShapeError`) that are not (N, R, 4), or none at all."""
    if not isinstance(boxes, Tensor):
        raise ShapeError(
            f"{name} must be a tensor ({images} images, regions, 4), found a"
            f" {type(boxes).__name__}",
            hint="torch.nn.utils.rnn.pad_sequence(boxes, batch_first=True) makes one of a list of"
            " (regions, 4) tensors; mark what is valid with mask",
        )
    if boxes.ndim != 3 or len(boxes) != images or boxes.shape[2] != 4 or not boxes.shape[1]:
        raise ShapeError(
            f"{name} must be ({images} images, regions, 4), found {tuple(boxes.shape)}",
            hint="pad the shorter lists of regions and mark what is valid with mask",
        )


def valid_regions(boxes: Tensor, mask: Tensor | None) -> Tensor:
    """(N, R) bool: `mask`, true for regions and false for padding; None = all are regions."""
    if mask is None:
        return boxes.new_ones(boxes.shape[:2], dtype=torch.bool)
    if mask.shape != boxes.shape[:2]:
        raise ShapeError(
            f"mask must be {tuple(boxes.shape[:2])} as boxes are, found {tuple(mask.shape)}",
            hint="it is true for regions and false for padding",
        )
    return mask.bool()


def unit_boxes(
    boxes: Tensor,
    image_size: tuple[float, float] | Tensor | None,
    valid: Tensor,
    *,
    name: str = "boxes",
) -> Tensor:
    """Boxes (N, R, 4) as parts of their picture's sides, 0 for padding.

    Args:
        boxes: (N, R, 4), (x1, y1, x2, y2), ends exclusive: pixels, or parts of the picture's sides.
        image_size: (height, width) in pixels, or (N, 2) of them; None = the boxes are parts.
        valid: (N, R) bool; other boxes are padding and are not looked at.
        name: What to call the boxes in messages.

    Raises:
        ShapeError: `image_size` has another shape.
        DataError: A box ends before it begins, lies wholly outside its picture, is given in pixels
            where no `image_size` is, or the other way round.
    """
    unit = boxes
    if image_size is not None:
        sides = torch.as_tensor(image_size, dtype=boxes.dtype, device=boxes.device)
        if sides.shape not in {(2,), (len(boxes), 2)} or not bool((sides > 0).all()):
            raise ShapeError(
                f"image_size must be (height, width) or ({len(boxes)}, 2) of them, all positive,"
                f" found {image_size}"
            )
        if bool(valid.any()) and bool((boxes[valid].abs() <= 1).all()):
            raise DataError(
                f"{name} all end within the first pixel of a picture, image_size = {image_size}",
                hint="these look like parts of its sides (0 to 1): leave image_size out",
            )
        height, width = sides.unbind(-1)
        unit = boxes / torch.stack([width, height, width, height], -1).view(-1, 1, 4)
    unit = torch.where(valid[..., None], unit, 0)
    low, high = unit[..., :2], unit[..., 2:]
    inside = ((low < 1) & (high > 0) & (unit.abs().amax(-1, keepdim=True) <= FARTHEST)).all(-1)
    bad = valid & ~(inside & (high > low).all(-1))
    if bool(bad.any()):
        _refuse(boxes, unit, bad, image_size, name)
    return unit


def _refuse(
    boxes: Tensor,
    unit: Tensor,
    bad: Tensor,
    image_size: tuple[float, float] | Tensor | None,
    name: str,
) -> None:
    """Say what is wrong with the first box that is."""
    image, region = (int(index) for index in bad.nonzero()[0])
    found = [round(float(edge), 4) for edge in boxes[image, region]]
    place = f"{name}[{image}, {region}] = {found}"
    x1, y1, x2, y2 = (float(edge) for edge in unit[image, region])
    if not (x2 > x1 and y2 > y1):
        raise DataError(
            f"{place} is no box (x1, y1, x2, y2): its end must lie behind its beginning",
            hint="turn (x, y, width, height) into corners; mark padding with mask",
        )
    if image_size is None and max(map(abs, (x1, y1, x2, y2))) > 1:
        raise DataError(
            f"{place} does not lie in the unit square, where a whole picture is (0, 0, 1, 1)",
            hint="these look like pixels: pass image_size=(height, width) of the picture",
        )
    raise DataError(
        f"{place} lies outside its picture, image_size = {image_size}",
        hint="image_size is (height, width) of the picture that the boxes were drawn in",
    )
