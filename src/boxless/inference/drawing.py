"""Annotated pictures: boxes, labels and heat maps on the image they belong to."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from boxless.errors import ConfigError, DataError
from boxless.files.atomic import write_atomically
from boxless.inference.images import to_pixels
from boxless.inference.prediction import Box, Label, Prediction
from boxless.types import Float32Array, UInt8Array

LARGEST = 1600
"""Longest side of a picture; larger images are drawn smaller."""

_COLOURS = (
    (214, 39, 40), (31, 119, 180), (44, 160, 44), (255, 127, 14), (148, 103, 189),
    (23, 190, 207), (227, 119, 194), (140, 86, 75), (188, 189, 34), (90, 90, 90),
)  # fmt: skip
# Dark blue, violet, orange, yellow: bright where the evidence is.
_HEAT = np.array([(0, 0, 64), (106, 0, 168), (225, 100, 98), (252, 206, 37)], np.float64)
_HEAT_OPACITY = 0.55
_KEPT = (".jpg", ".jpeg", ".png", ".webp")

Colour = tuple[int, int, int]


def annotated(prediction: Prediction, *, heat: str | None = None) -> Image.Image:
    """Draw a prediction on its image.

    Labels that are present stand in the upper left corner; those with a box have its colour, and
    their name at the box too.

    Args:
        prediction: The prediction.
        heat: A class whose heat map is laid over the image.

    Returns:
        RGB picture, at most `LARGEST` pixels a side.

    Raises:
        DataError: The prediction has no image, or it cannot be read any more.
        ConfigError: There is no such class.
        StoreError: A heat map is asked for, but there are no class maps.
    """
    if prediction.source is None:
        raise DataError("this prediction does not know its image, so it cannot be drawn")
    pixels = to_pixels(prediction.source)
    if heat is not None:
        pixels = overlay(pixels, prediction.heat_map(heat))
    picture = Image.fromarray(pixels)
    scale = min(1.0, LARGEST / max(picture.size))
    if scale < 1:
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        picture = picture.resize(size, Image.Resampling.BILINEAR)
    colours = _colours(prediction.present)
    _draw_boxes(picture, prediction.boxes, colours, scale)
    _draw_labels(picture, prediction.present, colours)
    return picture


def overlay(pixels: UInt8Array, heat: Float32Array) -> UInt8Array:
    """Lay a heat map over an image.

    Args:
        pixels: (H, W, 3) RGB.
        heat: (H, W) in [0, 1].

    Returns:
        (H, W, 3) RGB; the image shines through.
    """
    steps = np.linspace(0, 1, len(_HEAT))
    table = np.stack([np.interp(np.linspace(0, 1, 256), steps, c) for c in _HEAT.T], 1)
    colours = table[np.rint(heat * 255).astype(np.uint8)]
    mixed = (1 - _HEAT_OPACITY) * pixels + _HEAT_OPACITY * colours
    return np.rint(mixed).astype(np.uint8)


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write a picture in one step, in the format that its suffix names.

    Args:
        picture: RGB.
        path: The file; its folder is made.

    Raises:
        ConfigError: The suffix names no format that can be written.
        RunError: The file cannot be written.
    """
    suffix = path.suffix.lower()
    kind = Image.registered_extensions().get(suffix)
    if kind is None or kind not in Image.SAVE:
        raise ConfigError(
            f"expected a file that ends in .json, .jpg or .png, found {path.name!r}",
            hint="the suffix says what is written",
        )
    buffer = io.BytesIO()
    options = {"quality": 92} if kind in ("JPEG", "WEBP") else {}
    picture.save(buffer, format=kind, **options)
    write_atomically(path, buffer.getvalue())


def free_name(folder: Path, source: Path, used: set[str]) -> Path:
    """Where the picture of an image goes: under its own name, numbered if that is taken.

    Args:
        folder: Of the pictures.
        source: The image.
        used: Names taken so far; the new one is added.

    Returns:
        The path; formats that cannot be written become JPEG.

    Raises:
        ConfigError: It would replace the image itself.
    """
    suffix = source.suffix if source.suffix.lower() in _KEPT else ".jpg"
    name, number = source.stem + suffix, 1
    while name in used:
        number += 1
        name = f"{source.stem}-{number}{suffix}"
    used.add(name)
    if (folder / name).exists() and source.exists() and (folder / name).samefile(source):
        raise ConfigError(
            f"the picture {folder / name} would replace the image itself",
            hint="name another folder",
        )
    return folder / name


def _colours(labels: Sequence[Label]) -> dict[str, Colour]:
    return {x.name: _COLOURS[place % len(_COLOURS)] for place, x in enumerate(labels)}


def _draw_boxes(
    picture: Image.Image, boxes: Sequence[Box], colours: dict[str, Colour], scale: float
) -> None:
    pen = ImageDraw.Draw(picture)
    width = max(2, round(max(picture.size) / 250))
    font = _font(picture)
    for box in boxes:
        corners = [value * scale for value in (box.x1, box.y1, box.x2 - 1, box.y2 - 1)]
        x1, y1, x2, y2 = corners[0], corners[1], *map(max, corners[2:], corners[:2])
        colour = colours.get(box.name, _COLOURS[0])
        pen.rectangle((x1, y1, x2, y2), outline=colour, width=width)
        height = _line_height(picture)
        _tag(pen, (x1, max(0, y2 - height)), box.name, colour, font)


def _draw_labels(picture: Image.Image, labels: Sequence[Label], colours: dict[str, Colour]) -> None:
    pen = ImageDraw.Draw(picture)
    font, height = _font(picture), _line_height(picture)
    for place, label in enumerate(labels):
        text = f"{label.name} {label.probability:.2f}"
        _tag(pen, (0, place * height), text, colours[label.name], font)


def _tag(
    pen: ImageDraw.ImageDraw,
    place: tuple[float, float],
    text: str,
    colour: Colour,
    font: "ImageFont.ImageFont | ImageFont.FreeTypeFont",
) -> None:
    """White words on a coloured ground."""
    text = " ".join(text.split())
    try:
        x1, y1, x2, y2 = pen.textbbox(place, text, font=font)
    except UnicodeEncodeError:  # Pillow without FreeType knows Latin letters only
        text = text.encode("latin-1", "replace").decode("latin-1")
        x1, y1, x2, y2 = pen.textbbox(place, text, font=font)
    pen.rectangle((x1 - 1, y1 - 2, x2 + 3, y2 + 3), fill=colour)
    pen.text((place[0] + 1, place[1]), text, fill="white", font=font)


def _font_size(picture: Image.Image) -> int:
    return max(10, min(28, round(max(picture.size) / 32)))


def _line_height(picture: Image.Image) -> int:
    return round(_font_size(picture) * 1.45)


def _font(picture: Image.Image) -> "ImageFont.ImageFont | ImageFont.FreeTypeFont":
    return ImageFont.load_default(_font_size(picture))
