"""Decode images, whatever their mode, and say clearly what is wrong with a file."""

import io
import os
import struct
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from boxless.data import scenes
from boxless.data.jpeg import decode_plain_jpeg
from boxless.data.strangers import HEAD, stranger
from boxless.errors import DataError
from boxless.files.paths import is_url, read_file
from boxless.types import ImageRecord, UInt8Array

MAX_PIXELS = 100_000_000
"""Images with more pixels are refused: they would need 300 MB and more, each."""

_ORIENTATION_TAG = 0x0112
# EXIF 2.3, tag 274: what undoes each orientation.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_TURNED = frozenset((5, 6, 7, 8))

BROKEN_FILE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    ArithmeticError,
    NotImplementedError,
    struct.error,
    zlib.error,
)
"""What Pillow's plugins let through when a file is not what its header says."""

_opening = threading.Lock()  # warning filters are shared between threads


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What is accepted as an image, where it comes from strangers.

    Attributes:
        max_pixels: Most pixels; asked before anything is decoded.
        formats: Names of Pillow's formats (``JPEG``, ``PNG``, …) that may be opened; None = all.
    """

    max_pixels: int = MAX_PIXELS
    formats: tuple[str, ...] | None = None


ANY_IMAGE = ImageLimits()


@dataclass(frozen=True, slots=True)
class BadImage:
    """An image that cannot be used.

    Attributes:
        record: Its record.
        reason: What is wrong, in one line, with the file's name.
    """

    record: ImageRecord
    reason: str


def load_image(path: str) -> UInt8Array:
    """Decode an image file, or draw an image of the embedded data set.

    Turned upright by its EXIF orientation (a damaged EXIF block counts as upright). Transparent
    parts become white, 16-bit values are scaled to 8 bits, grey is repeated, other colour spaces
    are converted; of an animation the first frame counts.

    Args:
        path: File path, URL of an object, or ``scenes:…``.

    Returns:
        (H, W, 3) RGB image; a new array.

    Raises:
        DataError: The file is missing, empty, truncated, no image, or above `MAX_PIXELS`.
        RunError: A store of objects refuses, or cannot be reached.
    """
    if path.startswith(scenes.PREFIX):
        return scenes.render(path)
    with _opened(path) as image:
        return _decoded(image)


def decode_image(data: bytes, *, limits: ImageLimits = ANY_IMAGE) -> UInt8Array:
    """Decode the content of an image file, as `load_image` would.

    Returns:
        (H, W, 3) RGB image; a new array.

    Raises:
        DataError: The bytes are none, truncated, no image, or beyond the limits.
    """
    with _opened("image", lambda: io.BytesIO(data), limits) as image:
        return _decoded(image)


def _decoded(image: Image.Image) -> UInt8Array:
    """Pixels of an opened image, upright."""
    if image.format == "JPEG" and _orientation(image) not in _UPRIGHT:
        plain = decode_plain_jpeg(image)
        if plain is not None:
            return plain
    image.load()
    rgb = _to_rgb(image)
    turn = _UPRIGHT.get(_orientation(image))
    if turn is not None:
        rgb = rgb.transpose(turn)
    return np.array(rgb, np.uint8)


def image_size(path: str) -> tuple[int, int]:
    """Read the size of an upright image, without decoding it (TIFF apart).

    Args:
        path: File path, URL of an object, or ``scenes:…``.

    Returns:
        Width and height in pixels after EXIF rotation: those of `load_image`.

    Raises:
        DataError: The file is missing, empty, no image, or above `MAX_PIXELS`.
    """
    if path.startswith(scenes.PREFIX):
        side = scenes.parse_path(path).size
        return side, side
    with _opened(path) as image:
        if image.format == "TIFF":
            image.load()  # Pillow turns TIFF files itself, when they are decoded
        width, height = image.size
        return (height, width) if _orientation(image) in _TURNED else (width, height)


def load_grey(path: str, side: int) -> UInt8Array:
    """Decode an image to a small grey square, JPEGs no finer than that needs.

    Args:
        path: File path, URL of an object, or ``scenes:…``.
        side: S, side of the square in pixels; the image is squashed.

    Returns:
        (S, S), upright.

    Raises:
        DataError: As of `load_image`.
        RunError: A store of objects refuses, or cannot be reached.
    """
    if path.startswith(scenes.PREFIX):
        return _grey_square(Image.fromarray(scenes.render(path)), side)
    with _opened(path) as image:
        turn = _UPRIGHT.get(_orientation(image))
        image.draft("RGB", (4 * side, 4 * side))
        image.load()
        square = _grey_square(_to_rgb(image), side)
    if turn is None:
        return square
    return np.asarray(Image.fromarray(square).transpose(turn), np.uint8)


def _grey_square(image: Image.Image, side: int) -> UInt8Array:
    return np.asarray(image.convert("L").resize((side, side), Image.Resampling.BOX), np.uint8)


def find_bad_images(
    records: Sequence[ImageRecord],
    *,
    workers: int | None = None,
    on_done: Callable[[], None] | None = None,
) -> list[BadImage]:
    """Decode every image fully and list those that fail.

    Args:
        records: Images to try.
        workers: Threads (decoding releases Python's lock); the number of cores by default.
        on_done: Called once for each image, in this thread.

    Returns:
        Bad images in the order of the records.
    """
    bad = []
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        for found in pool.map(_try_image, records):
            if found is not None:
                bad.append(found)
            if on_done is not None:
                on_done()
    return bad


def _try_image(record: ImageRecord) -> BadImage | None:
    if record.path.startswith(scenes.PREFIX):
        return None
    try:
        load_image(record.path)
    except DataError as error:
        return BadImage(record, error.message)
    return None


@contextmanager
def _opened(
    path: str,
    opener: Callable[[], BinaryIO] | None = None,
    limits: ImageLimits | None = None,
) -> Iterator[Image.Image]:
    """Open an image, by default a file, and turn every way it can fail into a `DataError`."""
    limits, head = limits or ANY_IMAGE, b""
    try:
        with _open(path) if opener is None else opener() as file:
            if file.seek(0, os.SEEK_END) == 0:
                raise DataError(f"{path}: image file is empty (0 bytes)")
            file.seek(0)
            head = file.read(HEAD)
            file.seek(0)
            with _opening, warnings.catch_warnings():
                # The limit below answers with an error instead of a warning.
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                image = Image.open(file, formats=limits.formats)
            with image:
                width, height = image.size
                if width * height > limits.max_pixels:
                    raise _too_large(path, f"{width} x {height} pixels", limits.max_pixels)
                yield image
    except FileNotFoundError:
        raise DataError(f"{path}: image file is missing") from None
    except IsADirectoryError:
        raise DataError(f"{path}: expected an image file, found a folder") from None
    except PermissionError:
        raise DataError(f"{path}: no permission to read the image file") from None
    except UnidentifiedImageError:
        told = f": {found}" if (found := stranger(head)) else ""
        raise DataError(f"{path}: not an image, or of an unknown format{told}") from None
    except Image.DecompressionBombError:
        raise _too_large(path, "far more", limits.max_pixels) from None
    except BROKEN_FILE as error:
        if isinstance(error, OSError) and error.errno is not None:  # of the system, not of Pillow
            raise DataError(f"{path}: image file cannot be read ({error.strerror})") from error
        raise DataError(f"{path}: image file is damaged ({_one_line(error)})") from error


def _open(path: str) -> BinaryIO:
    return io.BytesIO(read_file(path)) if is_url(path) else Path(path).open("rb")


def _too_large(path: str, found: str, limit: int) -> DataError:
    return DataError(
        f"{path}: expected at most {limit / 1e6:g} megapixels, found {found}",
        hint="scale the image down",
    )


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1 to 8; 1 where there is none or the block is damaged."""
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except BROKEN_FILE:
        return 1
    return value if isinstance(value, int) else 1


def _to_rgb(image: Image.Image) -> Image.Image:
    mode = image.mode
    if mode == "RGB" and "transparency" not in image.info:
        return image
    if mode.startswith("I") or mode == "F":
        return _from_deep_grey(image)
    if mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
        return converted if converted is not None else image.convert("RGB")
    if mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    return image.convert("RGB")


def _from_deep_grey(image: Image.Image) -> Image.Image:
    """16-bit grey (also in a 32-bit container) or float grey to RGB.

    Pillow would clip instead of scale. Floats up to 1 count as [0, 1], others as [0, 255].
    """
    values = np.asarray(image, np.float64)
    if image.mode == "F":
        if not np.isfinite(values).all():
            raise ValueError("float pixels that are not finite")
        scaled = values * 255 if values.max(initial=0) <= 1 else values
    else:
        scaled = values / 257
    grey = np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")
