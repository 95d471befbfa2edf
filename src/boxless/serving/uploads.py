"""The images of a request, whichever way they were sent.

What an image file claims to be is read from its header before anything is decoded.
"""

import io
import warnings
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from boxless.data.images import BROKEN_FILE
from boxless.serving.faults import RequestError

FIELDS = frozenset(("files", "file"))
_NAME_LENGTH = 200
_REFUSALS = {  # how Starlette's messages begin: what is answered
    "Too many files": (413, "too_many_files", "send them in several requests"),
    "Too many fields": (400, "unknown_field", "options go into the query"),
    "The Content-Disposition header": (400, "unknown_field", "send files in the field 'files'"),
}


@dataclass(frozen=True, slots=True)
class Upload:
    """An image as it came.

    Attributes:
        name: Its file name without folders, for the answer only; None for a bare body.
        data: The file's bytes.
    """

    name: str | None
    data: bytes


async def read_uploads(request: Request, *, max_files: int) -> list[Upload]:
    """Read the body of a request for predictions.

    Args:
        request: ``multipart/form-data`` with files in the field ``files``, or one image as the
            body with an ``image/…`` content type.
        max_files: Most images.

    Returns:
        At least one image.

    Raises:
        RequestError: 400 for an empty or malformed body, 413 for too many files, 415 for another
            content type.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        uploads = await _read_form(request, max_files)
    elif kind.startswith("image/") or kind == "application/octet-stream":
        uploads = [Upload(None, await request.body())]
    else:
        raise RequestError(
            415,
            "unsupported_content_type",
            "expected multipart/form-data, image/… or application/octet-stream, "
            f"found {kind[:80]!r}",
            hint="for example: curl -F files=@street.jpg URL",
        )
    if not uploads:
        raise RequestError(400, "no_image", "expected at least one image, found none")
    for upload in uploads:
        if not upload.data:
            raise RequestError(400, "empty_image", "an image has 0 bytes", file=upload.name)
    return uploads


class _Form(MultiPartParser):
    """Starlette's parser, in memory (bodies have a limit), that knows whether the form ended."""

    spool_max_size = 0
    ended = False

    def on_end(self) -> None:
        self.ended = True


async def _read_form(request: Request, max_files: int) -> list[Upload]:
    parser = _Form(request.headers, request.stream(), max_files=max_files, max_fields=0)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        known = (found for start, found in _REFUSALS.items() if error.message.startswith(start))
        status, code, hint = next(known, (400, "malformed_form", ""))
        message = f"the form was refused: {error.message}"
        raise RequestError(status, code, message, hint=hint) from error
    if not parser.ended:
        message = "the form is malformed: the closing boundary is missing"
        raise RequestError(400, "malformed_form", message)
    uploads = []
    for field, file in form.multi_items():
        assert isinstance(file, UploadFile)  # plain fields were refused
        disposition = file.headers.get("content-disposition", "")
        if field not in FIELDS or not disposition.lower().startswith("form-data"):
            raise RequestError(
                400,
                "unknown_field",
                f"expected form fields named 'files', found {field[:60]!r}",
                hint="send each image as a file in the field 'files'; options go into the query",
            )
        uploads.append(Upload(plain_name(file.filename or ""), await file.read()))
    return uploads


def plain_name(name: str) -> str | None:
    r"""A client's file name without folders (of either kind) and control characters.

    Args:
        name: Such as ``"../../etc/passwd"`` or ``"C:\\photos\\a.jpg"``.

    Returns:
        ``"passwd"``, ``"a.jpg"``; None if nothing is left.
    """
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    kept = "".join(sign for sign in last if sign.isprintable())[:_NAME_LENGTH].strip()
    return None if kept in ("", ".", "..") else kept


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
