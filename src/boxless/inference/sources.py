"""From whatever a caller has to images: files, folders, bytes, arrays, Pillow images."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from threading import Lock
from typing import IO, Any, TypeGuard, cast

import numpy as np
from PIL import Image, ImageOps

from boxless.data.find_images import find_images
from boxless.data.images import ANY_IMAGE, ImageLimits, decode_image, load_image
from boxless.errors import DataError
from boxless.types import UInt8Array

Source = str | Path | bytes | IO[bytes] | UInt8Array | Image.Image
"""An image: a file, its content, an open file, (H, W, 3) uint8 RGB pixels, or a Pillow image."""

_pillow_lock = Lock()  # one lazy Pillow image may be given several times


def as_sources(images: Source | Iterable[Source]) -> Iterator[Source]:
    """All images one by one; one image counts as a list of one, a folder as its images.

    Raises:
        DataError: A folder has no image.
    """
    single = isinstance(images, str | Path | bytes | Image.Image) or _is_open_file(images)
    if single or (isinstance(images, np.ndarray) and images.ndim < 4):
        images = [cast("Source", images)]
    for source in cast("Iterable[Source]", images):
        if isinstance(source, str | Path) and Path(source).is_dir():
            yield from map(str, find_images(Path(source)))
        elif _is_open_file(source):
            yield _content(source)
        else:
            yield source


def to_pixels(source: Source, limits: ImageLimits = ANY_IMAGE) -> UInt8Array:
    """Decode an image of any kind.

    Args:
        source: The image.
        limits: What is accepted as the content of a file (bytes or an open file); files named by
            path, arrays and Pillow images are the caller's own.

    Returns:
        (H, W, 3) uint8 RGB, upright; an array is returned as it is.

    Raises:
        DataError: It cannot be read.
    """
    if isinstance(source, str | Path):
        return load_image(str(source))
    if isinstance(source, bytes | bytearray | memoryview):
        return decode_image(bytes(source), limits=limits)
    if _is_open_file(source):
        return decode_image(_content(source), limits=limits)
    if isinstance(source, np.ndarray):
        return source
    if not isinstance(source, Image.Image):
        raise DataError(
            "expected a path, the bytes of an image file, an open file, an array or a Pillow image,"
            f" found {type(source).__name__}"
        )
    return _from_pillow(source)


def _is_open_file(source: object) -> TypeGuard[IO[Any]]:
    return hasattr(source, "read")


def _content(file: IO[Any]) -> bytes:
    """All of an open file, from its start where it can be wound back, as Pillow does it."""
    try:
        if file.seekable():
            file.seek(0)
        data = file.read()
    except (OSError, ValueError) as error:
        raise DataError(f"an open file cannot be read: {error}") from error
    if not isinstance(data, bytes):
        raise DataError(
            "expected a file opened to read bytes, found one opened as text",
            hint="open it with mode 'rb'",
        )
    return data


def _from_pillow(source: Image.Image) -> UInt8Array:
    if source.mode.startswith("I") or source.mode == "F":
        raise DataError(
            f"a Pillow image of mode {source.mode} has no agreed range of values",
            hint="scale it to 0-255 and convert it to RGB, or pass the path of the file",
        )
    try:
        with _pillow_lock:
            source.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"a Pillow image could not be decoded: {error}") from error
    upright = ImageOps.exif_transpose(source)
    if upright.has_transparency_data:
        layer = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return np.asarray(upright.convert("RGB"), np.uint8)
