"""Run an application with uvicorn."""

import logging
import socket
import sys
from contextlib import suppress

import uvicorn
from fastapi import FastAPI

from boxless.errors import RunError
from boxless.serving.connections import guarded_protocol
from boxless.serving.journal import LOGGER, LogFormat, log_config
from boxless.serving.settings import Limits

_SWITCH_INTERVAL = 5e-5  # s; the thread that computes waits so long for the interpreter, not 5 ms


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
    sys.setswitchinterval(_SWITCH_INTERVAL)
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
