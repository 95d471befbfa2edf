"""The outermost layer: names, logs and counts each request; no exception gets past it."""

import re
import secrets
from dataclasses import dataclass
from time import perf_counter

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from boxless.serving.faults import RequestError, answer
from boxless.serving.journal import LOGGER
from boxless.serving.metrics import ServerMetrics

_NOTES = "boxless.notes"
_GONE = 499  # the client went away; what nginx writes
_QUIET = frozenset(("/healthz", "/readyz", "/metrics"))
_HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
_PLAIN_ID = re.compile(r"[\w.-]{1,64}\Z", re.ASCII)


@dataclass(slots=True)
class Notes:
    """What becomes known of a request while it is worked on.

    Attributes:
        request_id: The client's ``X-Request-ID`` if it cannot break a line of the log, else new.
        route: Path template; ``other`` for paths that do not exist.
        images: Images in it.
        code: Code of the error it was refused with.
    """

    request_id: str
    route: str
    images: int = 0
    code: str | None = None


def notes_of(scope: Scope) -> Notes:
    """Notes on a request that passed through `Observer`."""
    notes = scope[_NOTES]
    assert isinstance(notes, Notes)
    return notes


class Observer:
    """Middleware that logs and counts requests and turns faults of ours into a plain 500.

    Args:
        app: What is observed.
        metrics: Where requests are counted.
        routes: Paths that are counted by name; all others count as ``other``.
    """

    def __init__(self, app: ASGIApp, metrics: ServerMetrics, routes: frozenset[str]) -> None:
        self._app, self._metrics, self._routes = app, metrics, routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        proposed = Headers(scope=scope).get("x-request-id", "")
        request_id = proposed if _PLAIN_ID.match(proposed) else secrets.token_hex(8)
        notes = Notes(request_id, scope["path"] if scope["path"] in self._routes else "other")
        scope[_NOTES] = notes
        status, start = 0, perf_counter()

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception:
            notes.code = "internal"
            LOGGER.exception("fault", extra={"fields": {"id": request_id}})
            if not status:
                message = "the server failed; this is a bug"
                hint = f"its log tells more about request {request_id}"
                fault = RequestError(500, "internal", message, hint=hint)
                await answer(fault)(scope, receive, watched)
        finally:
            self._write(scope, notes, status or _GONE, perf_counter() - start)

    def _write(self, scope: Scope, notes: Notes, status: int, seconds: float) -> None:
        self._metrics.request_done(notes.route, status, seconds, notes.code)
        if notes.route in _QUIET and status == 200:
            return
        client = scope.get("client")
        fields = {
            "id": notes.request_id,
            "method": scope["method"],
            "path": scope["path"][:200],
            "status": status,
            "ms": round(seconds * 1000, 1),
            "images": notes.images or None,
            "code": notes.code,
            "client": client[0] if client else None,
        }
        LOGGER.info("request", extra={"fields": fields})
