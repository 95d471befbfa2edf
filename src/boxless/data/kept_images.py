"""Decoded images kept for the next look, as small as the views of a step allow.

What is kept never changes a pixel, unless asked for: an image that is only looked at whole is kept
at the size it is looked at, one that is cropped as it is. With ``sized``, cropped images too are
kept at the size that the smallest crop needs, and are thus interpolated twice.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from boxless.data.arena import Arena, has_room
from boxless.data.images import image_size
from boxless.data.resize import resize_square
from boxless.errors import DataError
from boxless.types import UInt8Array

ImageCache = Literal["auto", "off", "sized"]
Loader = Callable[[str], UInt8Array]
SizeOf = Callable[[str], tuple[int, int]]

CHUNK = 1024
SMALLEST = 64 * 1024
"""Bytes of memory left with which no further images are looked for."""

PROBES = 64
"""Images whose headers are read to tell whether all of them fit in memory as they are."""


class KeptImages:
    """Loads images and keeps them.

    Args:
        load: Decoder.
        paths: All images that may be asked for again.
        mode: ``auto``, ``off`` or ``sized``.
        limit_bytes: Memory for them.
        folder: Where files go that do not fit in memory; None = nowhere.
        size_of: Reads an image's width and height from its header.
    """

    def __init__(
        self,
        load: Loader,
        paths: Sequence[str],
        *,
        mode: ImageCache = "auto",
        limit_bytes: int = 0,
        folder: Path | None = None,
        size_of: SizeOf = image_size,
    ) -> None:
        self._load, self._size_of, self._mode = load, size_of, mode
        wanted = () if mode == "off" else dict.fromkeys(paths)
        self._rows = {path: row for row, path in enumerate(wanted)}
        self._left, self._folder = limit_bytes, folder
        self._arenas: dict[tuple[int, bool], Arena | None] = {}
        self._originals: Arena | None = None
        self._decided = not self._rows

    @property
    def loader(self) -> Loader:
        """The decoder alone, without what is kept: for other processes."""
        return self._load

    def __call__(self, path: str) -> UInt8Array:
        """The image (H, W, 3) as it is."""
        return self._kept(self._originals, path, self._load)

    def source(self, path: str, size: int, side: int) -> UInt8Array:
        """An image from which views are cut.

        Args:
            path: The image.
            size: Side of the views.
            side: Side that a cropped image needs, see `reserve`; 0 = the views are whole images.

        Returns:
            (H, W, 3), the image or a smaller one.
        """
        arena = self._arenas.get((side or size, not side))
        if arena is None:
            return self(path)
        shrink = _shrunk if side else resize_square
        return self._kept(arena, path, lambda name: shrink(self(name), side or size))

    def reserve(self, size: int, side: int) -> None:
        """Make room before loading processes are forked from this one.

        Args:
            size: Side of the views to come.
            side: Least side that crops may be cut from without enlarging; 0 = no crops.
        """
        self._decide()
        key = (side or size, not side)
        if self._originals is not None or key in self._arenas or self._mode == "off":
            return
        if side and self._mode != "sized":
            self._keep_originals()
            return
        self._arenas[key] = self._arena([3 * key[0] ** 2] * len(self._rows), *key)

    def _kept(self, arena: Arena | None, path: str, make: Loader) -> UInt8Array:
        row = self._rows.get(path)
        if arena is None or row is None:
            return make(path)
        stamp = _stamp(path)
        found = arena.get(row, stamp)
        if found is None:
            found = make(path)
            arena.put(row, found, stamp)
        return found

    def _decide(self) -> None:
        """Keep all images as they are if there is memory for them."""
        if self._decided:
            return
        self._decided = True
        paths = list(self._rows)
        probes = paths[:: max(1, len(paths) // PROBES)]
        estimate = np.mean(self._sizes(probes)) * len(paths)
        if estimate <= self._left:
            self._keep_originals()

    def _keep_originals(self) -> None:
        """Room for images as they are, the first ones where there is not enough for all."""
        if self._originals is not None or self._left <= 0:
            return
        paths, capacities = list(self._rows), [0] * len(self._rows)
        for first in range(0, len(paths), CHUNK):  # headers of what fits, not of all
            for row, size in enumerate(self._sizes(paths[first : first + CHUNK]), first):
                if size <= self._left:  # a small one may still fit behind a large one
                    capacities[row] = size
                    self._left -= size
            if self._left < SMALLEST:
                break
        self._originals = Arena(capacities)

    def _arena(self, capacities: list[int], side: int, square: bool) -> Arena | None:
        need = Arena.bytes_for(capacities)
        if need <= self._left:
            self._left -= need
            return Arena(capacities)
        if self._folder is None or not has_room(self._folder, need):
            return None
        names = hashlib.sha256("\n".join(self._rows).encode()).hexdigest()[:16]
        kind = "whole" if square else "crops"
        path = self._folder / f"{kind}-{side}-{names}.rgb"
        try:
            return Arena(capacities, path)
        except OSError:
            path.unlink(missing_ok=True)
            return None  # slower, no worse

    def _sizes(self, paths: Sequence[str]) -> list[int]:
        """Bytes of images when decoded; 0 of those that cannot be read."""
        with ThreadPoolExecutor() as pool:
            return list(pool.map(self._bytes_of, paths))

    def _bytes_of(self, path: str) -> int:
        try:
            width, height = self._size_of(path)
        except DataError:
            return 0  # whoever asks for it gets the error
        return 3 * width * height


def _shrunk(image: UInt8Array, side: int) -> UInt8Array:
    """An image with no side longer than needed, each axis on its own; never enlarged."""
    height, width = image.shape[:2]
    smaller = (min(width, side), min(height, side))
    if smaller == (width, height):
        return image
    picture = Image.fromarray(np.ascontiguousarray(image))
    return np.asarray(picture.resize(smaller, Image.Resampling.BILINEAR), np.uint8)


def _stamp(path: str) -> int:
    """Changes when the file does; 0 where there is no file (embedded scenes)."""
    try:
        found = os.stat(path)  # noqa: PTH116  (no Path for every look)
    except OSError:
        return 0
    return (found.st_mtime_ns * 31 + found.st_size) % (1 << 62)
