"""Pictures for pages: the teacher's best regions, students' labels, class maps, suspicious tags."""

import base64
import io
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from PIL import Image, ImageDraw

from boxless.data.suspects import Suspect, ToTag
from boxless.errors import ShapeError
from boxless.inference.drawing import overlay
from boxless.inference.labels import Label
from boxless.inference.location import LocationSettings, heat_map, locate, peak
from boxless.types import Float32Array, Float64Array, UInt8Array


def jpeg_url(picture: Image.Image) -> str:
    """An RGB picture as a JPEG in base64."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=84, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


_SMALL_SIDE: Final = 300
_TRUE, _FOUND = (255, 255, 255), (0, 240, 160)

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class LocalizedImage:
    """One class of one picture, as some models see it.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        name: The class.
        label: Its index.
        truth: True boxes of the class, in pixels.
        maps: (name of the model, its (K, h, w) class maps, how boxes are made of them).
        caption: A line below the picture.
    """

    image: UInt8Array
    name: str
    label: int
    truth: tuple[Box, ...]
    maps: tuple[tuple[str, Float32Array, LocationSettings], ...]
    caption: str = ""


def draw_localization(
    item: LocalizedImage, maps: Float32Array, settings: LocationSettings
) -> Image.Image:
    """One model's heat map of the class, its strongest place, its box and the true boxes.

    Args:
        item: The picture.
        maps: (K, h, w) class maps of the model.
        settings: How boxes are made of them.

    Returns:
        RGB, the longer side at most 300 pixels: true boxes white and thin, the found one green.
    """
    height, width = item.image.shape[:2]
    size = (width, height)
    heat = heat_map(maps[item.label], size, settings)
    scale = min(1.0, _SMALL_SIDE / max(size))
    picture = Image.fromarray(overlay(item.image, heat))
    picture = picture.resize((max(1, round(width * scale)), max(1, round(height * scale))))
    pen = ImageDraw.Draw(picture)
    for box in item.truth:
        _frame(pen, box, scale, _TRUE, 2)
    (found,) = locate(maps, size, [item.label], settings)
    _frame(pen, (found.x1, found.y1, found.x2, found.y2), scale, _FOUND, 4)
    x, y = (value * scale for value in peak(maps[item.label], size, settings))
    pen.ellipse((x - 5, y - 5, x + 5, y + 5), fill=_FOUND, outline=(0, 0, 0))
    return picture


def localization_urls(item: LocalizedImage) -> list[tuple[str, str]]:
    """Name of each model and its picture as a ``data:`` address."""
    return [
        (name, jpeg_url(draw_localization(item, maps, settings)))
        for name, maps, settings in item.maps
    ]


def _frame(
    pen: ImageDraw.ImageDraw, box: Box, scale: float, colour: tuple[int, int, int], width: int
) -> None:
    x1, y1, x2, y2 = (float(np.round(value * scale)) for value in box)
    pen.rectangle((x1, y1, max(x1, x2 - 1), max(y1, y2 - 1)), outline=(0, 0, 0), width=width + 1)
    pen.rectangle((x1, y1, max(x1, x2 - 1), max(y1, y2 - 1)), outline=colour, width=width)


@dataclass(frozen=True, slots=True)
class Card:
    """One picture of the page.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        about: The tag that is suspicious, or why the image is worth tagging.
    """

    image: UInt8Array
    about: Suspect | ToTag

    @property
    def url(self) -> str:
        """The image as a ``data:`` address, its longer side at most 300 pixels."""
        picture = Image.fromarray(self.image)
        picture.thumbnail((_SMALL_SIDE, _SMALL_SIDE))
        return jpeg_url(picture)


REGIONS: Final = 10
_LONGER_SIDE: Final = 560
_CASING: Final = (10, 12, 16)
# Weak to strong: readable on photographs and apart in lightness, not only in hue.
_RAMP: Final = ((94, 60, 153), (214, 72, 104), (253, 190, 60))

Mark = Literal["right", "wrong", "missed", "absent"]


@dataclass(frozen=True, slots=True)
class GalleryItem:
    """One picture of the gallery.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        boxes: (R, 4) boxes in pixels of ``image``; usually the teacher's ten best.
        box_scores: (R,) scores of the boxes, any non-negative scale.
        truth: Names of the true classes.
        before: What the student without distillation says of some classes, best first.
        after: The same of the student with distillation.
        caption: A line below the picture.
    """

    image: UInt8Array
    boxes: Float32Array
    box_scores: Float32Array
    truth: tuple[str, ...]
    before: tuple[Label, ...]
    after: tuple[Label, ...]
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one student says about one class.

    Attributes:
        label: The probability with its threshold, or None where the student was not asked.
        mark: Right, wrong, missed (true but not predicted) or absent (rightly not predicted).
    """

    label: Label | None
    mark: Mark


@dataclass(frozen=True, slots=True)
class LabelRow:
    """One class of one picture, before and after distillation."""

    name: str
    true: bool
    before: Answer
    after: Answer

    @property
    def telling(self) -> bool:
        """Whether a student names the class: the others missed it or left it out, both of them."""
        return any(said.mark in ("right", "wrong") for said in (self.before, self.after))


def label_rows(item: GalleryItem) -> list[LabelRow]:
    """The classes of a picture: true ones first, then by the distilled student's probability.

    Returns:
        One row for each class that is true or that a student was asked about.
    """
    before, after = ({label.name: label for label in said} for said in (item.before, item.after))
    names = list(dict.fromkeys([*item.truth, *after, *before]))

    def place(name: str) -> tuple[bool, float]:
        label = after.get(name) or before.get(name)
        return name not in item.truth, -(label.probability if label else 0.0)

    rows = []
    for name in sorted(names, key=place):
        true = name in item.truth
        answers = [_answer(said.get(name), true=true) for said in (before, after)]
        rows.append(LabelRow(name, true, *answers))
    return rows


def _answer(label: Label | None, *, true: bool) -> Answer:
    predicted = label is not None and label.present
    if true:
        return Answer(label, "right" if predicted else "missed")
    return Answer(label, "wrong" if predicted else "absent")


def draw_regions(item: GalleryItem) -> Image.Image:
    """The picture with the teacher's best regions over it.

    Returns:
        An RGB image whose longer side is at most 560 pixels; strong boxes are bright, opaque and on
        top, weak ones dark and faint; the best carries the number 1. Boxes without area, such as
        padding, are left out.

    Raises:
        ShapeError: The image, the boxes or the scores have another shape.
    """
    _check(item)
    height, width = item.image.shape[:2]
    scale = min(1.0, _LONGER_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    picture = Image.fromarray(item.image).resize(size, Image.Resampling.LANCZOS).convert("RGBA")
    usable = np.all(item.boxes[:, 2:] > item.boxes[:, :2], axis=1)
    order = [i for i in np.argsort(-item.box_scores, kind="stable") if usable[i]][:REGIONS]
    strengths = _strengths(item.box_scores[order].astype(np.float64))
    for rank in range(len(order) - 1, -1, -1):
        box = tuple(float(side) * scale for side in item.boxes[order[rank]])
        layer = Image.new("RGBA", size, (0, 0, 0, 0))
        _draw_box(ImageDraw.Draw(layer), box, float(strengths[rank]), first=rank == 0)
        picture = Image.alpha_composite(picture, layer)
    return picture.convert("RGB")


def _check(item: GalleryItem) -> None:
    if item.image.ndim != 3 or item.image.shape[2] != 3:
        raise ShapeError(f"expected an image of shape (H, W, 3), found {item.image.shape}")
    if item.boxes.ndim != 2 or item.boxes.shape[1] != 4:
        raise ShapeError(f"expected boxes of shape (R, 4), found {item.boxes.shape}")
    if item.box_scores.shape != item.boxes.shape[:1]:
        raise ShapeError(
            f"expected one score for each of the {len(item.boxes)} boxes, "
            f"found scores of shape {item.box_scores.shape}"
        )


def _strengths(scores: Float64Array) -> Float64Array:
    """Scores relative to the best one, in [0, 1]; all 1 where no score is positive."""
    if not scores.size or scores[0] <= 0:
        return np.ones_like(scores)
    return np.asarray(np.clip(scores / scores[0], 0, 1), np.float64)


def _draw_box(
    draw: ImageDraw.ImageDraw, box: tuple[float, ...], strength: float, *, first: bool
) -> None:
    alpha = round(255 * (0.3 + 0.7 * strength))
    colour = (*_colour(strength), alpha)
    width = 2 + round(1.4 * strength)
    x1, y1, x2, y2 = box
    right, bottom = max(x1, x2 - 1), max(y1, y2 - 1)
    draw.rectangle((x1, y1, right, bottom), outline=(*_CASING, alpha // 2), width=width + 2)
    inner = (x1 + 1, y1 + 1, max(x1 + 1, right - 1), max(y1 + 1, bottom - 1))
    draw.rectangle(inner, outline=colour, width=width)
    if first:
        draw.rectangle((x1, y1, x1 + 17, y1 + 19), fill=colour)
        draw.text((x1 + 5, y1 + 1), "1", fill=(*_CASING, 255), font_size=15)


def _colour(strength: float) -> tuple[int, int, int]:
    place = strength * (len(_RAMP) - 1)
    low = min(int(place), len(_RAMP) - 2)
    mix = [round(a + (b - a) * (place - low)) for a, b in zip(*_RAMP[low : low + 2], strict=True)]
    return mix[0], mix[1], mix[2]
