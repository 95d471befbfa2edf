"""What a server may be told: limits on requests, sizes of batches, who may call."""

from dataclasses import dataclass, field, fields

from boxless.errors import ConfigError

MEGABYTE = 1_000_000
LOOPBACK = frozenset(("127.0.0.1", "::1", "localhost"))


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may cost; whatever is above is refused with a 4xx status.

    Attributes:
        body_bytes: Largest request body.
        buffered_bytes: Bytes that all bodies in work may hold together; more is answered 503.
        files: Most images in a request.
        pixels: Most pixels of an image, read from its header before anything is decoded.
        header_seconds: Time to send the request line and headers.
        body_seconds: Time to send the body.
        seconds: Time from the headers to the answer.
        connections: Most open connections.
    """

    body_bytes: int = 32 * MEGABYTE
    buffered_bytes: int = 256 * MEGABYTE
    files: int = 32
    pixels: int = 40_000_000
    header_seconds: float = 10.0
    body_seconds: float = 20.0
    seconds: float = 30.0
    connections: int = 1000

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            if not value > 0:
                raise ConfigError(f"{entry.name} must be above 0, found {value}")
        if self.buffered_bytes < self.body_bytes:
            raise ConfigError(
                f"buffered_bytes must be at least body_bytes ({self.body_bytes}), "
                f"found {self.buffered_bytes}"
            )


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """How a student is served.

    Attributes:
        batch_size: Most images computed together.
        max_delay: Maximum batching delay, in seconds: how long an incomplete batch waits for more.
        queue_size: Most images taken in and not answered yet; more is answered 503.
        decoders: Threads that decode images.
        api_key: What ``/v1`` and ``/metrics`` ask for; empty lets everybody in.
        hosts: Names that requests may call the server by; empty takes any.
        limits: What one request may cost.
    """

    batch_size: int = 16
    max_delay: float = 0.002
    queue_size: int = 256
    decoders: int = 2
    api_key: str = field(default="", repr=False)
    hosts: frozenset[str] = frozenset()
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        for name in ("batch_size", "queue_size", "decoders"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, found {getattr(self, name)}")
        if not 0 <= self.max_delay <= 1:
            raise ConfigError(f"max_delay must be 0 to 1 second, found {self.max_delay}")
        if self.queue_size < self.limits.files:
            raise ConfigError(
                f"the queue must hold one request of {self.limits.files} images, "
                f"found queue_size {self.queue_size}",
                hint="raise the queue or lower the number of files",
            )
        if self.api_key and (len(self.api_key) < 8 or not self.api_key.isprintable()):
            raise ConfigError("the API key must have at least 8 printable characters")
