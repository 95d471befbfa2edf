"""Pixels of a scene of the embedded data set: background, shapes, noise.

Only whole-number arithmetic and Pillow's polygon filling and 8-bit resizing, so a scene has the
same bits on every machine with the same Pillow.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from boxless.data.scene_layout import SUPERSAMPLING, Draws, Scene, Thing, place
from boxless.data.scene_shapes import HOLE, INK
from boxless.types import UInt8Array

_Int16Array = NDArray[np.int16]
_UInt16Array = NDArray[np.uint16]  # 255 * 255 still fits
_OCTAVES = ((5, 7), (13, 5), (37, 4), (80, 3))  # cells a side, weight in 16ths


def paint(scene: Scene) -> UInt8Array:
    """Draw a scene.

    Args:
        scene: What stands where.

    Returns:
        (H, W, 3) RGB image.
    """
    draws = Draws(scene.recipe, stream=1)
    size = scene.recipe.size
    noise = draws.bytes(size * size).reshape(size, size)
    image = _background(draws, size).astype(np.uint16)
    backdrop = image.copy()
    for thing in scene.things:
        _draw(image, backdrop, thing)
    grain = (noise >> 4).astype(np.int16) - 8
    grainy = image.astype(np.int16) + grain[:, :, None]
    return grainy.clip(0, 255).astype(np.uint8)


def _smooth(cells: UInt8Array, size: int) -> _Int16Array:
    """Stretch a coarse grid to the image, values less 128."""
    kind = Image.Resampling.BICUBIC if len(cells) < 20 else Image.Resampling.BILINEAR
    stretched = Image.fromarray(cells).resize((size, size), kind)
    return np.asarray(stretched, np.int16) - np.int16(128)


def _background(draws: Draws, size: int) -> _Int16Array:
    """Coloured gradient, several octaves of noise, patches of stripes."""
    colour = _smooth(draws.bytes(27).reshape(3, 3, 3), size)
    light = np.zeros((size, size), np.int16)
    contrast = draws.between(6, 14)
    patches = light
    for cells, weight in _OCTAVES:
        octave = _smooth(draws.bytes(cells * cells).reshape(cells, cells), size)
        patches = octave if cells == 5 else patches
        light += octave * (weight * contrast // 10) >> 4
    for _ in range(draws.below(3)):
        light += _stripes(draws, size, patches)
    level = draws.between(95, 160)
    lit = (colour >> 1) + light[:, :, None] + level
    return lit.clip(0, 255).astype(np.int16)


def _stripes(draws: Draws, size: int, patches: _Int16Array) -> _Int16Array:
    """Parallel bars where the coarse noise is high (or low), zero elsewhere."""
    across = np.arange(size, dtype=np.int16)
    a, b = draws.between(-4, 4), draws.between(1, 4)
    period = draws.between(12, 40)
    height = draws.between(8, 22)
    phase = across[:, None] * np.int16(b) + across[None, :] * np.int16(a)
    bars = ((phase // np.int16(period)) & 1) * np.int16(2 * height) - np.int16(height)
    where = patches > 10 if draws.below(2) else patches < -10
    return np.where(where, bars, 0).astype(np.int16)


def _luminance(colours: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rough brightness of (…, 3) colours."""
    return (2 * colours[..., 0] + 5 * colours[..., 1] + colours[..., 2]) >> 3


def _colours(thing: Thing, backdrop: _UInt16Array) -> tuple[_UInt16Array, _UInt16Array]:
    """Body and ink from the palette: body unlike the background, ink unlike the body."""
    palette = np.frombuffer(thing.palette, np.uint8).reshape(6, 3).astype(np.int64)
    behind = int(_luminance(backdrop.reshape(-1, 3).mean(axis=0).astype(np.int64)))
    bright = _luminance(palette)
    body = int(np.argmax(np.abs(bright[:3] - behind)))
    ink = 3 + int(np.argmax(np.abs(bright[3:] - bright[body])))
    ink_colour = palette[ink]
    if abs(int(bright[ink]) - int(bright[body])) < 70:
        ink_colour = ink_colour // 4 + (0 if bright[body] > 127 else 190)
    return palette[body].astype(np.uint16), ink_colour.astype(np.uint16)


def _masks(thing: Thing) -> tuple[_UInt16Array, _UInt16Array]:
    """Coverage of a thing and of its ink inside its box, both (h, w) in 0 to 255."""
    x1, y1, x2, y2 = thing.box
    extent = ((x2 - x1) * SUPERSAMPLING, (y2 - y1) * SUPERSAMPLING)
    cover, ink = Image.new("L", extent), Image.new("L", extent)
    on_cover, on_ink = ImageDraw.Draw(cover), ImageDraw.Draw(ink)
    for polygon in thing.shape:
        corners = place(polygon.points, thing.x, thing.y, thing.radius, thing.angle)
        corners -= (x1 * SUPERSAMPLING, y1 * SUPERSAMPLING)
        flat = corners.ravel().tolist()
        if polygon.layer != INK:
            on_cover.polygon(flat, fill=0 if polygon.layer == HOLE else 255)
        if polygon.layer == INK:
            on_ink.polygon(flat, fill=255)
    cover_mask = np.asarray(cover.reduce(SUPERSAMPLING)).astype(np.uint16)
    return cover_mask, np.asarray(ink.reduce(SUPERSAMPLING)).astype(np.uint16)


def _draw(image: _UInt16Array, backdrop: _UInt16Array, thing: Thing) -> None:
    """Blend a thing into the image, in place."""
    x1, y1, x2, y2 = thing.box
    body, ink = _colours(thing, backdrop[y1:y2, x1:x2])
    cover, inked = (m[:, :, None] for m in _masks(thing))
    colour = (body * (255 - inked) + ink * inked) // 255
    under = image[y1:y2, x1:x2]
    image[y1:y2, x1:x2] = (under * (255 - cover) + colour * cover) // 255
