"""The images of a request, whichever way they were sent."""

from dataclasses import dataclass

from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from boxless.serving.faults import RequestError
from boxless.serving.multipart import FormReader

RAW_TYPES = ("application/octet-stream",)
_NAME_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Upload:
    """An image as it came.

    Attributes:
        name: Its file name without folders, for the answer only; None for a bare body.
        data: The file's bytes.
    """

    name: str | None
    data: bytes | bytearray


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
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind == b"multipart/form-data":
        reader = FormReader(_boundary(options), max_files=max_files)
        parts = await reader.read(request.stream())
        uploads = [Upload(plain_name(part.name), part.data) for part in parts]
    elif kind.startswith(b"image/") or kind.decode("latin-1") in RAW_TYPES:
        uploads = [Upload(None, await request.body())]
    else:
        raise RequestError(
            415,
            "unsupported_content_type",
            "expected multipart/form-data, image/… or application/octet-stream, "
            f"found {kind.decode('latin-1')[:80]!r}",
            hint="for example: curl -F files=@street.jpg URL",
        )
    if not uploads:
        raise RequestError(400, "no_image", "expected at least one image, found none")
    for upload in uploads:
        if not upload.data:
            raise RequestError(400, "empty_image", "an image has 0 bytes", file=upload.name)
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


def _boundary(options: dict[bytes, bytes]) -> bytes:
    boundary = options.get(b"boundary", b"")
    if not 1 <= len(boundary) <= 70:  # RFC 2046
        raise RequestError(
            400, "malformed_form", "the content type names no boundary of 1 to 70 characters"
        )
    return boundary
