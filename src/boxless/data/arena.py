"""Room for many decoded images in one mapping, in memory or in a file, shared by all processes.

Every image has a slot of its own, so that processes forked after the arena was made fill it
together and none keeps a copy. A slot tells what it holds: height, width, checksum and a stamp of
the image file. A slot that was half written, damaged, or filled from a file that has changed since
counts as empty.
"""

import mmap
import os
import shutil
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from boxless.types import UInt8Array

_HEADER = np.dtype([("height", "<i4"), ("width", "<i4"), ("stamp", "<i8"), ("checksum", "<u4")])


class Arena:
    """Slots of uint8 images (H, W, 3).

    Args:
        capacities: Bytes of each slot; larger images are not kept.
        path: File to map, which may hold images of an earlier process; None = memory alone.

    Attributes:
        size: Bytes of the whole arena.

    Raises:
        OSError: The file cannot be made, or the disk is full.
    """

    def __init__(self, capacities: Sequence[int], path: Path | None = None) -> None:
        starts = np.zeros(len(capacities) + 1, np.int64)
        np.cumsum(capacities, out=starts[1:])
        self._starts = starts + _HEADER.itemsize * len(capacities)
        self.size = int(self._starts[-1])
        self._path = path
        self._map()

    @staticmethod
    def bytes_for(capacities: Sequence[int]) -> int:
        """Bytes that an arena of such slots takes."""
        return sum(capacities) + _HEADER.itemsize * len(capacities)

    def get(self, row: int, stamp: int) -> UInt8Array | None:
        """The image of a slot, read-only; None if the slot is empty."""
        if self._pixels is None:
            return None
        found = self._headers[row]
        height, width = int(found["height"]), int(found["width"])
        start, stop = (int(edge) for edge in self._starts[row : row + 2])
        if height <= 0 or width <= 0 or height * width * 3 > stop - start:
            return None
        image: UInt8Array = self._pixels[start : start + height * width * 3]
        if row not in self._checked:
            if int(found["stamp"]) != stamp or zlib.crc32(image.data) != int(found["checksum"]):
                return None
            self._checked.add(row)
        return image.reshape(height, width, 3)

    def put(self, row: int, image: UInt8Array, stamp: int) -> None:
        """Fill a slot, if the image fits.

        Args:
            row: Number of the slot.
            image: (H, W, 3).
            stamp: Stamp of the image file.
        """
        start, stop = (int(edge) for edge in self._starts[row : row + 2])
        if self._writable is None or not 0 < image.nbytes <= stop - start:
            return
        self._writable[start : start + image.nbytes] = image.reshape(-1)
        height, width = image.shape[:2]
        self._headers[row] = (height, width, stamp, zlib.crc32(np.ascontiguousarray(image).data))

    def _map(self) -> None:
        self._checked: set[int] = set()
        if self._path is None:
            mapping = mmap.mmap(-1, max(1, self.size))
        else:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a+b") as file:
                file.truncate(self.size)
                if hasattr(os, "posix_fallocate"):  # a hole that finds the disk full would kill us
                    os.posix_fallocate(file.fileno(), 0, self.size)
                mapping = mmap.mmap(file.fileno(), self.size)
        whole = np.frombuffer(mapping, np.uint8)
        count = len(self._starts) - 1
        self._writable: UInt8Array | None = whole
        self._headers = whole[: count * _HEADER.itemsize].view(_HEADER)
        self._pixels: UInt8Array | None = whole[:]
        self._pixels.flags.writeable = False

    def __getstate__(self) -> dict[str, Any]:
        """Mappings do not travel to processes that are not forked; files are mapped there anew."""
        left_behind: dict[str, Any] = {
            "_writable": None,
            "_headers": None,
            "_pixels": None,
            "_checked": set(),
        }
        return {**self.__dict__, **left_behind}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._path is not None:
            self._map()


def has_room(folder: Path, size: int) -> bool:
    """Whether a file of that size fits on a folder's disk, with a tenth to spare."""
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    return shutil.disk_usage(existing).free > 1.1 * size
