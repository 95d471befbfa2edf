"""Pictures for the report: what a model's class map shows, and the box made of it."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from boxless.inference.drawing import overlay
from boxless.inference.location import LocationSettings, heat_map, locate, peak
from boxless.report.data_url import jpeg_url
from boxless.types import Float32Array, UInt8Array

_LONGER_SIDE: Final = 300
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
    scale = min(1.0, _LONGER_SIDE / max(size))
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
