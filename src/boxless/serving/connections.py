"""What uvicorn leaves open: a limit on connections and on the time and size of request headers.

A client that opens a connection and sends nothing, or a header byte a second, would otherwise hold
it for ever: the application is only called when all headers are there.
"""

import asyncio
import json
from typing import Any, ClassVar

from boxless.serving.settings import Limits

try:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as HTTPProtocol
except ImportError:  # pure Python, slower
    from uvicorn.protocols.http.h11_impl import H11Protocol as HTTPProtocol  # type: ignore[assignment]

_HEADER_BYTES = 32_768


class GuardedProtocol(HTTPProtocol):
    """uvicorn's protocol, less patient.

    Attributes:
        limits: `header_seconds` and `connections` count here.
    """

    limits: ClassVar[Limits] = Limits()
    _timer: asyncio.TimerHandle | None = None
    _pending = 0

    def connection_made(self, transport: Any) -> None:
        """Take a connection, or refuse it if there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            self._refuse("503 Service Unavailable", "overloaded", "too many connections")
        else:
            self._start_timer()

    def data_received(self, data: bytes) -> None:
        """Take bytes; those before the end of the headers are counted and timed."""
        if self._busy():
            super().data_received(data)
            return
        self._start_timer()
        self._pending += len(data)
        super().data_received(data)
        if self._busy():
            self._stop_timer()
        elif self._pending > _HEADER_BYTES and not self.transport.is_closing():
            message = f"request headers of more than {_HEADER_BYTES} bytes"
            self._refuse("431 Request Header Fields Too Large", "headers_too_large", message)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_timer()
        super().connection_lost(exc)

    def _busy(self) -> bool:
        """Is a request with complete headers in work?"""
        return self.cycle is not None and not self.cycle.response_complete

    def _start_timer(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self.limits.header_seconds, self._too_slow)

    def _stop_timer(self) -> None:
        self._pending = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        if not self.transport.is_closing():
            message = f"the headers did not arrive within {self.limits.header_seconds:g} s"
            self._refuse("408 Request Timeout", "headers_too_slow", message)

    def _refuse(self, status: str, code: str, message: str) -> None:
        """Answer without the application, and hang up."""
        error = {"code": code, "message": message, "hint": None, "file": None}
        body = json.dumps({"error": error})
        self.transport.write(
            f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\nretry-after: 1\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n{body}".encode()
        )
        self.transport.close()


def guarded_protocol(limits: Limits) -> type[GuardedProtocol]:
    """Make uvicorn's HTTP protocol keep limits.

    Args:
        limits: What to keep.

    Returns:
        A class for uvicorn's setting ``http``.
    """
    return type("GuardedProtocol", (GuardedProtocol,), {"limits": limits})
