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


def check_picture(data: bytes | bytearray, *, max_pixels: int, file: str | None = None) -> None:
    """Refuse what should not be decoded.

    Args:
        data: The file's bytes.
        max_pixels: Most pixels.
        file: Its name, for the message.

    Raises:
        RequestError: 415 for what is no image or of another format, 413 for too many pixels, 422
            for a damaged header or a JPEG of very many scans.
    """
    try:
        with Image.open(io.BytesIO(data), formats=known_formats()) as image:
            width, height = image.size
            kind = image.format
    except UnidentifiedImageError:
        raise RequestError(
            415,
            "unsupported_image",
            f"not an image, or of a format other than {', '.join(known_formats())}",
            file=file,
        ) from None
    except Image.DecompressionBombError:
        raise _too_large("far more", max_pixels, file) from None
    except BROKEN_FILE as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise RequestError(
            422, "damaged_image", f"the image's header is damaged ({reason})", file=file
        ) from error
    if width * height > max_pixels:
        raise _too_large(f"{width} x {height}", max_pixels, file)
    if width < 1 or height < 1:
        raise RequestError(
            422, "damaged_image", f"the image has {width} x {height} pixels", file=file
        )
    if kind in ("JPEG", "MPO") and data.count(b"\xff\xda") > MAX_SCANS:
        raise RequestError(
            422, "too_many_scans", f"a JPEG of more than {MAX_SCANS} scans is refused", file=file
        )


def _too_large(found: str, max_pixels: int, file: str | None) -> RequestError:
    return RequestError(
        413,
        "too_many_pixels",
        f"expected at most {max_pixels:,} pixels, found {found}",
        hint="scale the image down",
        file=file,
    )


def known_formats() -> tuple[str, ...]:
    """Formats that this Pillow can read."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)
