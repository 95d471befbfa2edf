"""Pixels of a scene of the embedded data set: sky, sea, meadow and what stands there.

Only whole-number arithmetic and Pillow's polygon filling and 8-bit resizing, so a scene has the
same bits on every machine with the same Pillow.
"""

import numpy as np
from PIL import Image, ImageDraw

from boxless.data.scene_layout import SUPERSAMPLING, Draws, Scene, Thing
from boxless.data.scene_shapes import SEA, SKY
from boxless.types import UInt8Array

_Colour = tuple[int, ...]
_Line = list[tuple[int, int]]

_SWATCHES = (0xE4572E, 0xF2B134, 0x17808F, 0x8B3A62, 0x5BA4CF, 0x76A646, 0xB5651D, 0xF3E4C8)
_FIXED = {
    "pale": (0xFA, 0xF0, 0xDC), "ink": (0x33, 0x2E, 0x3C), "wood": (0x8A, 0x62, 0x40),
    "green": (0x4E, 0x86, 0x44), "leaf": (0x3E, 0x78, 0x4E), "yellow": (0xFF, 0xD0, 0x4A),
    "mist": (0xFB, 0xFA, 0xF6, 0xD0), "grey": (0x8E, 0x90, 0x96), "shade": (0x1E, 0x16, 0x3C, 0x40),
    "gloss": (0xFF, 0xFF, 0xFF, 0x50), "glow": (0xFF, 0xE6, 0x96, 0x40),
}  # fmt: skip
# Light of the day: sky above and at the horizon, far hills, sea far and near, meadow far and near.
_LIGHTS = (
    (0x6FB7E9, 0xDDF0F6, 0x9DBFC4, 0x5FA9C4, 0x2E7FA6, 0xA9CC6B, 0x5F9A48),
    (0x7C8FD6, 0xFBD9B8, 0xC39FA6, 0xE2B7A4, 0x6C86B4, 0xB8B86A, 0x6E8848),
    (0xF08A5D, 0xFCE2A0, 0xB0746C, 0xF2C18A, 0x9A6B86, 0xB59B54, 0x6E6A3C),
    (0x9FC4C9, 0xEEF2EC, 0xB4C6C2, 0xA4C6C8, 0x6BA0A8, 0xC0CB96, 0x86A06C),
    (0x3B4F8C, 0xA58FC0, 0x5C5C94, 0x7C84BC, 0x33497F, 0x5F8A72, 0x34604E),
)


def paint(scene: Scene) -> UInt8Array:
    """Draw a scene.

    Returns:
        (H, W, 3) RGB image.
    """
    draws, size = Draws(scene.recipe, stream=1), scene.recipe.size
    canvas = _country(draws, scene)
    brush = ImageDraw.Draw(canvas, "RGBA")
    for thing in scene.things:
        _draw(brush, thing)
    image = np.asarray(canvas.reduce(SUPERSAMPLING)).astype(np.int16)
    grain = (draws.bytes(size * size).reshape(size, size, 1) >> 5).astype(np.int16) - 4
    return (image + grain).clip(0, 255).astype(np.uint8)


def _rgb(colour: int) -> _Colour:
    return colour >> 16, colour >> 8 & 255, colour & 255


def _mixed(one: _Colour, other: _Colour, share: int) -> _Colour:
    """A colour between two; share of the other one in 1/16."""
    return tuple((a * (16 - share) + b * share) >> 4 for a, b in zip(one, other, strict=True))


def _curve(draws: Draws, side: int, knots: int, top: int, bottom: int) -> _Line:
    """Points of a smooth line from the left edge to the right, between two rows."""
    heights = Image.fromarray(draws.bytes(knots).reshape(1, knots))
    smooth = np.asarray(heights.resize((side // 8 + 2, 1), Image.Resampling.BICUBIC))[0]
    return [(8 * i, top + int(h) * (bottom - top) // 255) for i, h in enumerate(smooth)]


def _fill(canvas: Image.Image, edge: _Line, bottom: int, far: _Colour, near: _Colour) -> None:
    """Fill what is below a line, down to a row, with one colour running into another."""
    side, top = canvas.width, min(y for _, y in edge)
    height = max(bottom - top, 1)
    steps = np.arange(height, dtype=np.int64)[:, None]
    ramp = np.array(far) + steps * (np.array(near) - np.array(far)) // height
    colours = Image.fromarray(ramp.astype(np.uint8)[:, None]).resize((side, height), 0)
    mask = Image.new("1", colours.size)
    below = [(x, y - top) for x, y in edge] + [(side, height), (0, height)]
    ImageDraw.Draw(mask).polygon(below, fill=1)
    canvas.paste(colours, (0, top), mask)


def _country(draws: Draws, scene: Scene) -> Image.Image:
    """Sky with a sun, two rows of hills, sea with waves, meadow with grass."""
    side, horizon, shore = scene.recipe.size * SUPERSAMPLING, scene.horizon, scene.shore
    tint = tuple(draws.between(-10, 10) for _ in range(3))
    zenith, haze, hills, sea, deep, meadow, grass = (
        tuple(min(max(c + t, 0), 255) for c, t in zip(_rgb(colour), tint, strict=True))
        for colour in _LIGHTS[draws.below(len(_LIGHTS))]
    )
    canvas = Image.new("RGB", (side, side))
    _fill(canvas, [(0, 0), (side, 0)], horizon, zenith, haze)
    brush = ImageDraw.Draw(canvas, "RGBA")
    x, y, r = draws.below(side), draws.below(horizon), side // 14
    for grow, alpha in ((22, 30), (16, 40), (10, 220)):
        reach = r * grow // 10
        brush.ellipse((x - reach, y - reach, x + reach, y + reach), (255, 246, 214, alpha))
    for part, knots in ((2, 6), (4, 9)):
        ridge = _curve(draws, side, knots, horizon - side * part // 24, horizon + side // 40)
        tone = _mixed(hills, haze, 12 - 2 * part)
        _fill(canvas, ridge, horizon + 1, tone, _mixed(hills, haze, 8))
    _fill(canvas, [(0, horizon), (side, horizon)], side, sea, deep)
    for _ in range(draws.between(14, 30)):
        x, y = draws.below(side), draws.between(horizon, shore)
        reach = draws.between(side // 60, side // 16)
        brush.ellipse((x - reach, y, x + reach, y + side // 160), (255, 255, 255, 60))
    bank = _curve(draws, side, 7, shore - side // 40, shore + side // 40)
    _fill(canvas, [(x, y - side // 50) for x, y in bank], side, _mixed(haze, deep, 4), meadow)
    _fill(canvas, bank, side, meadow, grass)
    for _ in range(draws.between(40, 90)):
        x, y = draws.below(side), draws.between(shore + side // 30, side)
        tall = side * y // (side * 36) + side // 90
        lean = draws.between(-tall, tall)
        blade = (*_mixed(grass, meadow if draws.below(2) else _FIXED["green"], 8), 190)
        brush.polygon((x - tall // 4, y, x + tall // 4, y, x + lean // 2, y - tall), blade)
    return canvas


def _draw(brush: ImageDraw.ImageDraw, thing: Thing) -> None:
    """Draw a thing and, on the ground, its shadow, or the foam around it."""
    x, y, r = thing.x, thing.y + thing.radius * 9 // 10, thing.radius
    veil = (255, 255, 255, 50) if thing.kind.zone == SEA else (20, 20, 50, 40)
    for reach in () if thing.kind.zone == SKY else (9, 7, 5):
        wide, high = r * reach // 10, r * reach // 40
        brush.ellipse((x - wide, y - high, x + wide, y + high), veil)
    main, second = (_rgb(_SWATCHES[number]) for number in thing.swatches)
    dark, light = _mixed(main, (20, 10, 50), 5), _mixed(main, (255, 250, 235), 7)
    colours = _FIXED | {"main": main, "second": second, "dark": dark, "light": light}
    for colour, points in thing.kind.parts:
        brush.polygon(thing.place(points).ravel().tolist(), colours[colour])
