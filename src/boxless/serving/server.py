"""Run an application with uvicorn.

uvicorn leaves open a limit on connections, and on the time and size of request headers. The
application is only called when all headers are there; a client that sends nothing, or a byte a
second, would hold its connection for ever.
"""

import asyncio
import logging
import socket
from contextlib import suppress
from typing import Any, ClassVar

import uvicorn
from fastapi import FastAPI

from boxless.errors import RunError
from boxless.serving.faults import RequestError, answer
from boxless.serving.observer import LOGGER, LogFormat, log_config
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
            self._refuse(503, "overloaded", "too many connections")
        self._await_headers()

    def data_received(self, data: bytes) -> None:
        """Take bytes; those before the end of the headers are counted and timed."""
        waiting = self._waiting()
        super().data_received(data)
        if not waiting:
            return
        self._await_headers()
        self._pending += len(data)
        if not self._waiting():
            self._headers_over()
        elif self._pending > _HEADER_BYTES:
            message = f"request headers of more than {_HEADER_BYTES} bytes"
            self._refuse(431, "headers_too_large", message)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._headers_over()
        super().connection_lost(exc)

    def _waiting(self) -> bool:
        """Is there no request with complete headers in work?"""
        return self.cycle is None or self.cycle.response_complete

    def _await_headers(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self.limits.header_seconds, self._too_slow)

    def _headers_over(self) -> None:
        self._pending = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        message = f"the headers did not arrive within {self.limits.header_seconds:g} s"
        self._refuse(408, "headers_too_slow", message)

    def _refuse(self, status: int, code: str, message: str) -> None:
        """Answer without the application, and hang up."""
        if self.transport.is_closing():
            return
        response = answer(RequestError(status, code, message, retry_after=1))
        response.headers["Connection"] = "close"
        lines = [b"HTTP/1.1 %d -" % status, *(b": ".join(pair) for pair in response.raw_headers)]
        self.transport.write(b"\r\n".join([*lines, b"", bytes(response.body)]))
        self.transport.close()


def guarded_protocol(limits: Limits) -> type[GuardedProtocol]:
    """Make uvicorn's HTTP protocol keep limits.

    Returns:
        A class for uvicorn's setting ``http``.
    """
    return type("GuardedProtocol", (GuardedProtocol,), {"limits": limits})


class _Server(uvicorn.Server):
    """uvicorn's server, which tells where it listens once it answers."""

    def __init__(self, config: uvicorn.Config, url: str) -> None:
        super().__init__(config)
        self._url = url

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        LOGGER.info("serving", extra={"fields": {"url": self._url}})
        print(f"serving on {self._url}", flush=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        LOGGER.info("stopping")
        await super().shutdown(sockets)
        LOGGER.info("stopped")


def run_server(
    app: FastAPI, limits: Limits, *, host: str, port: int, log: LogFormat = "json"
) -> None:
    """Serve until the process is told to stop; then answer what was taken in, and end.

    Args:
        app: The application.
        limits: What a request may cost.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        log: Form of the log lines on stderr.

    Raises:
        RunError: If the address is in use or not this machine's.
    """
    listener = _listen(host, port)
    logging.captureWarnings(True)  # Pillow's, on images that are a little broken
    config = uvicorn.Config(
        app,
        http=guarded_protocol(limits),
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=log_config(log),
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=round(limits.seconds) + 1,
    )
    shown = f"[{host}]" if ":" in host else host
    with listener, suppress(KeyboardInterrupt):  # raised again by uvicorn when all is answered
        _Server(config, f"http://{shown}:{listener.getsockname()[1]}").run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise RunError(
            f"cannot listen on {host} port {port}: {error.strerror or error}",
            hint="choose another --port, or stop what listens there",
        ) from error
    return listener
