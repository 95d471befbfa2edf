"""JPEG's common case decoded by libjpeg-turbo straight into an array, where simplejpeg is there.

The pixels are Pillow's, bit for bit (the same library, the same exact transform), without the two
copies that Pillow's own memory layout costs. Whatever is not plain is left to Pillow.
"""

from functools import cache
from types import ModuleType
from typing import cast

from PIL import Image

from boxless.types import UInt8Array


@cache
def _simplejpeg() -> ModuleType | None:
    try:
        import simplejpeg  # noqa: PLC0415
    except ImportError:
        return None
    return cast("ModuleType", simplejpeg)


def decode_plain_jpeg(image: Image.Image) -> UInt8Array | None:
    """Pixels of an opened image whose content was not read yet, without turning it upright.

    Returns:
        (H, W, 3); None where it is not a plain RGB JPEG, is damaged in any way, or simplejpeg is
        not installed: then Pillow decides what it is worth.
    """
    decoder = _simplejpeg()
    file = getattr(image, "fp", None)
    if decoder is None or file is None or image.format != "JPEG" or image.mode != "RGB":
        return None
    file.seek(0)
    try:
        pixels: UInt8Array = decoder.decode_jpeg(file.read(), "RGB", strict=True)
    except ValueError:  # strict: what libjpeg only warns of, too
        return None
    width, height = image.size
    return pixels if pixels.shape == (height, width, 3) else None
