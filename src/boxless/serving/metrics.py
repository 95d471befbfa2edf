"""What the server counts, in the format of Prometheus."""

from collections.abc import Callable

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

from boxless import __version__

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
