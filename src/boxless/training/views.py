"""What a network sees of an image: crop, mirror, resize; boxes move along with the pixels.

Every random choice is drawn from ``(seed, epoch, image)``, never from a running generator, so any
update of any epoch can be made again on its own: that is what makes resuming exact.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from boxless.data.resize import resize_square
from boxless.types import Float32Array, UInt8Array

CROP_ASPECT = 4 / 3
"""A random crop's sides differ from the image's proportions by at most this factor."""


@dataclass(frozen=True, slots=True)
class View:
    """Part of an image, possibly mirrored.

    Attributes:
        window: ``(x1, y1, x2, y2)`` as fractions of the image; ``(0, 0, 1, 1)`` is all of it.
        mirrored: Whether the window is flipped left to right.
    """

    window: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    mirrored: bool = False


WHOLE = View()


def draw_view(*, seed: int, epoch: int, index: int, mirror: bool, crop: float) -> View:
    """Draw the view of one image in one epoch.

    Args:
        seed: Seed of the training step.
        epoch: Pass over the images.
        index: Row of the image in the training set.
        mirror: Flip with probability 1/2.
        crop: Largest part of the area to cut off, in [0, 1); 0 = no crop.

    Returns:
        The view; equal arguments give equal views on every machine.
    """
    rng = np.random.default_rng([seed, epoch, index])
    mirrored = bool(mirror and rng.random() < 0.5)
    if crop == 0:
        return View(mirrored=mirrored)
    kept = 1 - crop * rng.random()
    aspect = min(CROP_ASPECT, 1 / kept) ** rng.uniform(-1, 1)  # no side may exceed the image's
    width, height = min(1.0, (kept * aspect) ** 0.5), min(1.0, (kept / aspect) ** 0.5)
    left, top = rng.random() * (1 - width), rng.random() * (1 - height)
    return View((left, top, left + width, top + height), mirrored)


def crop_side(size: int, crop: float) -> int:
    """Least side of a whole image whose every crop still has the pixels of a view.

    Args:
        size: Side of the view.
        crop: Largest part of the area cut off, as in `draw_view`; 0 = no crop.

    Returns:
        Pixels; 0 where nothing is cropped.
    """
    if crop == 0:
        return 0
    kept = 1 - crop
    least_area_of_square = max(kept / CROP_ASPECT, kept * kept)
    return math.ceil(size / math.sqrt(least_area_of_square))


def view_pixels(image: UInt8Array, view: View, size: int) -> UInt8Array:
    """Pixels of a view.

    Args:
        image: (H, W, 3).
        view: Which part.
        size: Side of the result.

    Returns:
        (size, size, 3).
    """
    height, width = image.shape[:2]
    x1, y1, x2, y2 = view.window
    left, top = min(round(x1 * width), width - 1), min(round(y1 * height), height - 1)
    right, bottom = max(round(x2 * width), left + 1), max(round(y2 * height), top + 1)
    part = image[top:bottom, left:right]
    pixels = resize_square(part, size) if view.window == WHOLE.window else _resize(part, size)
    return _mirrored(pixels) if view.mirrored else pixels


def _mirrored(pixels: UInt8Array) -> UInt8Array:
    """Flipped left to right: torch needs a twentieth of NumPy's time."""
    flipped: UInt8Array = torch.from_numpy(_writeable(pixels)).flip(1).numpy()
    return flipped


def _writeable(pixels: UInt8Array) -> UInt8Array:
    """Itself or a copy: torch knows no tensors that are read alone."""
    return pixels if pixels.flags.writeable else np.array(pixels)


def _resize(part: UInt8Array, size: int) -> UInt8Array:
    """As `resize_square`, by torch's vectorised kernel.

    A quarter of the time; values differ by 1 at most, in photographs one in 500. Whole images are
    resized as they are for predictions, to the bit; a crop is seen once.
    """
    # An image's own stride first: without it torch sees planes, and is half as fast again.
    images = torch.from_numpy(_writeable(part))[None].permute(0, 3, 1, 2)
    resized = nn.functional.interpolate(images, (size, size), mode="bilinear", antialias=True)
    pixels: UInt8Array = resized.permute(0, 2, 3, 1)[0].numpy()
    return pixels


def view_boxes(unit_boxes: Float32Array, view: View) -> Float32Array:
    """Unit boxes of the image as unit boxes of the view.

    Args:
        unit_boxes: (R, 4) fractions of the image.
        view: Which part.

    Returns:
        (R, 4) fractions of the view; parts outside the window lie below 0 or above 1.
    """
    if not len(unit_boxes):
        return unit_boxes
    x1, y1, x2, y2 = view.window
    offset = np.array([x1, y1, x1, y1], np.float32)
    extent = np.array([x2 - x1, y2 - y1, x2 - x1, y2 - y1], np.float32)
    moved = (unit_boxes - offset) / extent
    if view.mirrored:
        moved = np.stack([1 - moved[:, 2], moved[:, 1], 1 - moved[:, 0], moved[:, 3]], 1)
    return moved.astype(np.float32)


def view_window(view: View) -> Float32Array:
    """Unit box (4,) of a view in the whole image, both mirrored if the view is."""
    x1, y1, x2, y2 = view.window
    return np.array([1 - x2, y1, 1 - x1, y2] if view.mirrored else view.window, np.float32)
