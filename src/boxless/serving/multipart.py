"""Read ``multipart/form-data`` while it arrives, in memory, with a limit on the number of files."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from boxless.serving.faults import RequestError

FIELDS = frozenset((b"files", b"file"))
MAX_HEADER_BYTES = 4096


@dataclass(slots=True)
class Part:
    """One file of a form.

    Attributes:
        name: The file's name as the client gave it; never used as a path.
        data: Its bytes.
    """

    name: str
    data: bytearray = field(default_factory=bytearray)


class FormReader:
    """Collects the files of one form.

    Args:
        boundary: From the content type.
        max_files: Most files.
    """

    def __init__(self, boundary: bytes, *, max_files: int) -> None:
        self.parts: list[Part] = []
        self._max_files = max_files
        self._header = self._value = b""
        self._disposition = b""
        self._header_bytes = 0
        self._ended = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_part_data": self._data,
                    "on_header_field": self._header_name,
                    "on_header_value": self._header_value,
                    "on_header_end": self._header_end,
                    "on_headers_finished": self._headers_finished,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise _malformed(str(error)) from error

    async def read(self, chunks: AsyncIterator[bytes]) -> list[Part]:
        """Read a whole body.

        Args:
            chunks: Pieces of the body, of any length.

        Returns:
            The files in order.

        Raises:
            RequestError: 400 if it is no form, is cut off or has foreign fields; 413 if there are
                too many files.
        """
        try:
            async for chunk in chunks:
                self._parser.write(chunk)
            self._parser.finalize()
        except FormParserError as error:
            raise _malformed(str(error)) from error
        if not self._ended:
            raise _malformed("the closing boundary is missing")
        return self.parts

    def _begin(self) -> None:
        self._disposition, self._header_bytes = b"", 0

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]
        self._count(end - start)

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._count(end - start)

    def _count(self, found: int) -> None:
        self._header_bytes += found
        if self._header_bytes > MAX_HEADER_BYTES:
            raise _malformed(f"headers of a part have more than {MAX_HEADER_BYTES} bytes")

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def _headers_finished(self) -> None:
        kind, options = parse_options_header(self._disposition)
        field_name = options.get(b"name")
        if kind != b"form-data" or field_name not in FIELDS:
            found = (field_name or b"").decode("utf-8", "replace")
            raise RequestError(
                400,
                "unknown_field",
                f"expected form fields named 'files', found {found[:60]!r}",
                hint="send each image as a file in the field 'files'; options go into the query",
            )
        if len(self.parts) == self._max_files:
            raise RequestError(
                413,
                "too_many_files",
                f"expected at most {self._max_files} images in a request, found more",
                hint="send them in several requests",
            )
        self.parts.append(Part(options.get(b"filename", b"").decode("utf-8", "replace")))

    def _data(self, data: bytes, start: int, end: int) -> None:
        self.parts[-1].data += data[start:end]

    def _end(self) -> None:
        self._ended = True


def _malformed(reason: str) -> RequestError:
    return RequestError(400, "malformed_form", f"the multipart body is malformed: {reason}")
