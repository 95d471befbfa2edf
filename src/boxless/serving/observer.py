"""The outermost layer: names, logs and counts each request; no exception gets past it.

Logs are structured, one line per record, for the server's own records and uvicorn's.
"""

import json
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from random import getrandbits
from time import perf_counter
from typing import Any, Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from boxless import __version__
from boxless.serving.faults import RequestError, answer

LOGGER = logging.getLogger("boxless.serving")
LogFormat = Literal["json", "text"]


class JsonLines(logging.Formatter):
    """A record as one JSON object, with the fields of ``extra={"fields": {…}}``."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever the message holds."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class PlainLines(logging.Formatter):
    """The same for people: ``12:01:02 info request status=200 …``."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and a traceback where there is one."""
        fields = getattr(record, "fields", {})
        words = " ".join(f"{k}={_plain(v)}" for k, v in fields.items() if v is not None)
        when = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        line = f"{when} {record.levelname.lower()} {record.getMessage()} {words}".rstrip()
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _plain(value: Any) -> str:
    """A value as one word; text that could break the line is quoted."""
    text = str(value)
    return text if text.isprintable() and " " not in text else repr(text)


def log_config(form: LogFormat) -> dict[str, Any]:
    """Settings for `logging.config.dictConfig`: everything in one place and one form."""
    formatter = {"json": JsonLines, "text": PlainLines}[form]
    stderr = {"class": "logging.StreamHandler", "stream": "ext://sys.stderr", "formatter": "line"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": formatter}},
        "handlers": {"line": stderr},
        "root": {"handlers": ["line"], "level": "WARNING"},  # uvicorn, Python's warnings, Pillow
        "loggers": {
            "boxless.serving": {"handlers": ["line"], "level": "INFO", "propagate": False},
            "uvicorn": {"level": "WARNING"},  # the server tells itself when it starts and stops
            "python_multipart": {"level": "ERROR"},  # the answer says what is wrong with a form
        },
    }


CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


class ServerMetrics:
    """Counters of one server, in a registry of their own.

    Args:
        waiting: Tells how many images are in work now.
        classes: Classes of the student.
    """

    def __init__(self, waiting: Callable[[], float], *, classes: int) -> None:
        self._registry = own = CollectorRegistry()
        route, code = ("route",), ("code",)
        self._requests = Counter(
            "boxless_requests", "Answered requests", ("route", "status"), registry=own
        )
        seconds = "From the headers of a request to its answer"
        self._seconds = Histogram(
            "boxless_request_seconds", seconds, route, buckets=_SECONDS, registry=own
        )
        self._refused = Counter(
            "boxless_refused", "Requests refused, by the code of the error", code, registry=own
        )
        self._images = Counter("boxless_images", "Images computed", registry=own)
        self._batch_size = Histogram(
            "boxless_batch_size", "Images in a batch", buckets=_SIZES, registry=own
        )
        self._batch_seconds = Histogram(
            "boxless_batch_seconds", "Time to compute a batch", buckets=_SECONDS, registry=own
        )
        waited = "How long the first image of a batch waited"
        self._queue_seconds = Histogram(
            "boxless_queue_seconds", waited, buckets=_SECONDS, registry=own
        )
        Gauge("boxless_queue_images", "Images in work", registry=own).set_function(waiting)
        model = Gauge("boxless_model_info", "The student", ("version", "classes"), registry=own)
        model.labels(__version__, str(classes)).set(1)
        ProcessCollector(registry=own)
        PlatformCollector(registry=own)

    def request_done(self, route: str, status: int, seconds: float, code: str | None) -> None:
        """Count a request by its path template: a stranger must not make up series."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)
        if code:
            self._refused.labels(code).inc()

    def batch_done(self, size: int, seconds: float, waited: float) -> None:
        """Count a batch of `size` images, its first one having waited so many seconds."""
        self._images.inc(size)
        self._batch_size.observe(size)
        self._batch_seconds.observe(seconds)
        self._queue_seconds.observe(waited)

    def text(self) -> bytes:
        """All counters, as Prometheus reads them."""
        return generate_latest(self._registry)


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
        request_id = proposed if _PLAIN_ID.match(proposed) else f"{getrandbits(64):016x}"
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
