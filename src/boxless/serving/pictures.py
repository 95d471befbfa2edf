"""What an image file claims to be, read from its header before anything is decoded."""

import io
import warnings

from PIL import Image, UnidentifiedImageError

from boxless.data.images import BROKEN_FILE
from boxless.serving.faults import RequestError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")
"""No plugin that starts other programs (EPS) or reads what browsers never send."""

MAX_SCANS = 100
"""A progressive JPEG has about ten; each one costs a pass over the whole image."""

# The limit below answers instead. Set once: filters are shared by threads.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def check_picture(data: bytes, *, max_pixels: int) -> None:
    """Refuse what should not be decoded.

    Args:
        data: The file's bytes.
        max_pixels: Most pixels.

    Raises:
        RequestError: 415 for what is no image or of another format, 413 for too many pixels, 422
            for a damaged header or a JPEG of very many scans.
    """
    try:
        with Image.open(io.BytesIO(data), formats=known_formats()) as image:
            (width, height), kind = image.size, image.format
    except UnidentifiedImageError:
        message = f"not an image, or of a format other than {', '.join(known_formats())}"
        raise RequestError(415, "unsupported_image", message) from None
    except Image.DecompressionBombError:
        raise _too_large("far more", max_pixels) from None
    except BROKEN_FILE as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        message = f"the image's header is damaged ({reason})"
        raise RequestError(422, "damaged_image", message) from error
    if width * height > max_pixels:
        raise _too_large(f"{width} x {height}", max_pixels)
    if width < 1 or height < 1:
        raise RequestError(422, "damaged_image", f"the image has {width} x {height} pixels")
    if kind in ("JPEG", "MPO") and data.count(b"\xff\xda") > MAX_SCANS:
        message = f"a JPEG of more than {MAX_SCANS} scans is refused"
        raise RequestError(422, "too_many_scans", message)


def _too_large(found: str, max_pixels: int) -> RequestError:
    message = f"expected at most {max_pixels:,} pixels, found {found}"
    return RequestError(413, "too_many_pixels", message, hint="scale the image down")


def known_formats() -> tuple[str, ...]:
    """Formats that this Pillow can read."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)
