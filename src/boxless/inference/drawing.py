"""Annotated pictures: boxes, labels and heat maps on the image they belong to.

Fonts are for names of any script: Pillow's own knows ASCII, the machine's may know more.
"""

import io
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageDraw, ImageFont

from boxless.data.images import BROKEN_FILE
from boxless.errors import ConfigError
from boxless.files.atomic import write_atomically
from boxless.files.paths import is_url
from boxless.inference.labels import Box, Label
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
_SIGNATURE = "boxless"
_KEPT = (".jpg", ".jpeg", ".png", ".webp")

Colour = tuple[int, int, int]
_Rectangle = tuple[float, float, float, float]


def annotated(
    pixels: UInt8Array,
    labels: Sequence[Label],
    boxes: Sequence[Box],
    *,
    heat: Float32Array | None = None,
) -> Image.Image:
    """Draw labels and boxes on an image.

    The labels stand in the upper left corner; those with a box have its colour, and their name at
    the box too.

    Args:
        pixels: (H, W, 3) RGB.
        labels: Labels that are present.
        boxes: Their boxes, in pixels of the image.
        heat: (H, W) in [0, 1], a heat map to lay over the image.

    Returns:
        RGB picture, at most `LARGEST` pixels a side.
    """
    picture = Image.fromarray(pixels if heat is None else overlay(pixels, heat))
    scale = min(1.0, LARGEST / max(picture.size))
    if scale < 1:
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        picture = picture.resize(size, Image.Resampling.BILINEAR)
    colours = {x.name: _COLOURS[place % len(_COLOURS)] for place, x in enumerate(labels)}
    _draw_boxes(picture, boxes, colours, scale)
    _draw_labels(picture, labels, colours)
    return picture


def overlay(pixels: UInt8Array, heat: Float32Array) -> UInt8Array:
    """Lay a heat map (H, W) in [0, 1] over an image (H, W, 3); the image shines through."""
    steps = np.linspace(0, 1, len(_HEAT))
    table = np.stack([np.interp(np.linspace(0, 1, 256), steps, c) for c in _HEAT.T], 1)
    colours = table[np.rint(heat * 255).astype(np.uint8)]
    mixed = (1 - _HEAT_OPACITY) * pixels + _HEAT_OPACITY * colours
    return np.rint(mixed).astype(np.uint8)


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write a picture in one step, in the format that its suffix names, signed in its EXIF block.

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
    exif = Image.Exif()
    exif[ExifTags.Base.Software] = _SIGNATURE
    picture.save(buffer, format=kind, exif=exif, **options)
    write_atomically(path, buffer.getvalue())


def is_drawn(path: Path) -> bool:
    """Whether `save_picture` wrote a file."""
    try:
        with Image.open(path) as image:
            return bool(image.getexif().get(ExifTags.Base.Software) == _SIGNATURE)
    except BROKEN_FILE:
        return False


def picture_paths(folder: Path, sources: Sequence[str]) -> dict[str, Path]:
    """Where the pictures of images go: under their own names, numbered where one is taken.

    Args:
        folder: Of the pictures.
        sources: The images, paths or URLs.

    Returns:
        A path for each image; formats that cannot be written become JPEG.
    """
    paths: dict[str, Path] = {}
    used: set[str] = set()
    for source in dict.fromkeys(sources):
        name = Path(source.partition("?")[0] if is_url(source) else source)
        suffix = name.suffix if name.suffix.lower() in _KEPT else ".jpg"
        chosen, number = name.stem + suffix, 1
        while chosen.lower() in used:  # also where a file system takes them for one
            number += 1
            chosen = f"{name.stem}-{number}{suffix}"
        used.add(chosen.lower())
        paths[source] = folder / chosen
    return paths


def _draw_boxes(
    picture: Image.Image, boxes: Sequence[Box], colours: dict[str, Colour], scale: float
) -> None:
    pen = ImageDraw.Draw(picture)
    width = max(2, round(max(picture.size) / 250))
    size, taken = _font_size(picture), list[_Rectangle]()
    for box in boxes:
        corners = [value * scale for value in (box.x1, box.y1, box.x2 - 1, box.y2 - 1)]
        x1, y1, x2, y2 = corners[0], corners[1], *map(max, corners[2:], corners[:2])
        colour = colours.get(box.name, _COLOURS[0])
        pen.rectangle((x1, y1, x2, y2), outline=colour, width=width)
        _tag(pen, (x1, max(0, y2 - _line_height(size))), box.name, colour, size, taken)


def _draw_labels(picture: Image.Image, labels: Sequence[Label], colours: dict[str, Colour]) -> None:
    pen = ImageDraw.Draw(picture)
    size = _font_size(picture)
    for row, label in enumerate(labels):
        text = f"{label.name} {label.probability:.2f}"
        _tag(pen, (0, row * _line_height(size)), text, colours[label.name], size, [])


def _tag(
    pen: ImageDraw.ImageDraw,
    place: tuple[float, float],
    text: str,
    colour: Colour,
    size: int,
    taken: list[_Rectangle],
) -> None:
    """White words on a coloured ground, moved up where they would hide words at `taken`."""
    font, shown = readable(" ".join(text.split()), size)
    (x, y), step = place, _line_height(size)

    def ground() -> _Rectangle:
        x1, y1, x2, y2 = pen.textbbox((x, y), shown, font=font)
        return x1 - 1, y1 - 2, x2 + 3, y2 + 3

    while y >= step and any(_overlap(ground(), other) for other in taken):
        y -= step
    taken.append(ground())
    pen.rectangle(ground(), fill=colour)
    pen.text((x + 1, y), shown, fill="white", font=font)


def _overlap(one: _Rectangle, other: _Rectangle) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _font_size(picture: Image.Image) -> int:
    return max(10, min(28, round(max(picture.size) / 32)))


def _line_height(size: int) -> int:
    return round(size * 1.45)


Font = ImageFont.ImageFont | ImageFont.FreeTypeFont

# Found by name where the system keeps its fonts: Linux, Windows, macOS.
_NAMES = (
    "DejaVuSans.ttf", "NotoSansCJK-Regular.ttc", "NotoSans-Regular.ttf", "arial.ttf", "msyh.ttc",
    "segoeui.ttf", "seguiemj.ttf", "Arial Unicode.ttf", "PingFang.ttc", "Hiragino Sans GB.ttc",
)  # fmt: skip


@lru_cache(maxsize=1024)
def readable(text: str, size: int) -> tuple[Font, str]:
    r"""A font for a text on one line, and the text as it can be written in it.

    The first font that has all signs; else Pillow's own, and the text with escapes such as
    ``\u732b`` for those it lacks: never the same empty box for all.
    """
    own = ImageFont.load_default(size)
    for font in (own, *_installed(size)):
        if all(_has(font, sign) for sign in text):
            return font, text
    signs = (x if _has(own, x) else x.encode("ascii", "backslashreplace").decode() for x in text)
    return own, "".join(signs)


@lru_cache(maxsize=32)
def _installed(size: int) -> tuple[Font, ...]:
    fonts: list[Font] = []
    for name in _NAMES:
        try:
            fonts.append(ImageFont.truetype(name, size))
        except (OSError, ImportError):  # not there, or Pillow without FreeType
            continue
    return tuple(fonts)


def _has(font: Font, sign: str) -> bool:
    """Whether a font has a sign; one that it lacks looks like one that does not exist."""
    try:
        return sign == " " or bytes(font.getmask(sign)) != bytes(font.getmask("\uffff"))
    except UnicodeEncodeError:  # Pillow's font without FreeType knows Latin letters only
        return sign.isascii()
