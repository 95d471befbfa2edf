"""From whatever a caller has to images: files, folders, bytes, arrays, Pillow images."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from threading import Lock
from typing import cast

import numpy as np
from PIL import Image, ImageOps

from boxless.data.find_images import find_images
from boxless.data.images import ANY_IMAGE, ImageLimits, decode_image, load_image
from boxless.errors import DataError
from boxless.inference.prediction import Source
from boxless.types import UInt8Array

_pillow_lock = Lock()  # one lazy Pillow image may be given several times


def as_sources(images: Source | Iterable[Source]) -> Iterator[Source]:
    """All images one by one; one image counts as a list of one, a folder as its images.

    Args:
        images: One image or many.

    Raises:
        DataError: A folder has no image.
    """
    single = isinstance(images, str | Path | bytes | Image.Image)
    if single or (isinstance(images, np.ndarray) and images.ndim < 4):
        images = [cast("Source", images)]
    for source in cast("Iterable[Source]", images):
        if isinstance(source, str | Path) and Path(source).is_dir():
            yield from map(str, find_images(Path(source)))
        else:
            yield source


def to_pixels(source: Source, limits: ImageLimits = ANY_IMAGE) -> UInt8Array:
    """Decode an image of any kind.

    Args:
        source: The image.
        limits: What is accepted as the content of a file (`bytes`); files named by path, arrays and
            Pillow images are the caller's own.

    Returns:
        (H, W, 3) uint8 RGB, upright; an array is returned as it is.

    Raises:
        DataError: It cannot be read.
    """
    if isinstance(source, str | Path):
        return load_image(str(source))
    if isinstance(source, bytes | bytearray | memoryview):
        return decode_image(bytes(source), limits=limits)
    if isinstance(source, np.ndarray):
        return source
    if not isinstance(source, Image.Image):
        raise DataError(
            "expected a path, the bytes of an image file, an array or a Pillow image,"
            f" found {type(source).__name__}"
        )
    return _from_pillow(source)


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
