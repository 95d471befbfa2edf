"""``boxless serve``: an exported student behind HTTP, with a page."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

if TYPE_CHECKING:
    from boxless.serving.settings import ServeSettings

_KEY = "BOXLESS_API_KEY"


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What a server takes in, and how much at once.

    Attributes:
        batch_size: Most images computed together.
        max_delay_ms: Maximum batching delay: how long an incomplete batch waits for more images.
        queue_size: Most images taken in and not answered yet; more are answered 503.
        decoders: Threads that decode images.
        max_body_mb: Largest request body, in megabytes.
        max_files: Most images in a request.
        max_megapixels: Largest image.
        timeout: Seconds from a request to its answer.
        api_key_file: File with the key that requests must carry.
        allow_host: Name that requests may call this server by, beside loopback's; may be repeated.
    """

    batch_size: int = 16
    max_delay_ms: float = 2.0
    queue_size: int = 256
    decoders: int = 2
    max_body_mb: float = 32.0
    max_files: int = 32
    max_megapixels: float = 40.0
    timeout: float = 30.0
    api_key_file: Path | None = None
    allow_host: Annotated[tuple[str, ...], Parameter(negative=())] = ()

    def settings(self, host: str) -> "ServeSettings":
        """What the server needs to know.

        Args:
            host: Address that it listens on.

        Raises:
            ConfigError: A value is out of range, or the key cannot be read.
        """
        from boxless.serving.settings import LOOPBACK, MEGABYTE, Limits, ServeSettings

        body = round(self.max_body_mb * MEGABYTE)
        limits = Limits(
            body_bytes=body,
            buffered_bytes=max(8 * body, 256 * MEGABYTE),
            files=self.max_files,
            pixels=round(self.max_megapixels * 1_000_000),
            body_seconds=min(20.0, self.timeout),
            seconds=self.timeout,
        )
        named = self.allow_host or host in LOOPBACK
        return ServeSettings(
            batch_size=self.batch_size,
            max_delay=self.max_delay_ms / 1000,
            queue_size=self.queue_size,
            decoders=self.decoders,
            api_key=_api_key(self.api_key_file),
            hosts=LOOPBACK | set(self.allow_host) if named else frozenset(),
            limits=limits,
        )


USUAL = ServeOptions()


def serve(
    model: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    threads: int = 1,
    options: ServeOptions = USUAL,
    samples: Path | None = None,
    log_format: Literal["json", "text"] = "json",
) -> None:
    """Serve an exported student: a page for people, JSON for programs.

    Listens on this machine alone unless `--host` says otherwise. Needs no PyTorch. An API key is
    read from a file or the environment variable BOXLESS_API_KEY.

    For example:

        boxless serve student.onnx

        boxless serve runs/first --port 9000 --samples photos/

        curl -F files=@street.jpg 'http://127.0.0.1:8000/v1/predict?boxes=true&top=5'

    Args:
        model: Exported student (.onnx), or a run folder.
        host: Address to listen on; 0.0.0.0 is every network of this machine.
        port: Port to listen on.
        threads: Threads that a batch is computed with; 0 takes all cores.
        options: What is taken in, and how much at once.
        samples: Folder of images that the page offers; a student of `scenes:` offers some.
        log_format: What logs on stderr are: JSON lines, or lines for people.
    """
    from boxless.errors import ConfigError, MissingExtraError
    from boxless.inference.predictor import Predictor

    if not 0 <= port <= 65535:
        raise ConfigError(f"--port must be between 0 and 65535, found {port}")
    try:
        from boxless.serving.app import create_app
        from boxless.serving.pages import painted_samples, samples_in
        from boxless.serving.server import run_server
        from boxless.serving.settings import LOOPBACK
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "fastapi", "serve") from error

    settings = options.settings(host)
    own = samples_in(samples) if samples else []
    predictor = Predictor.load(model, threads=threads)
    shown = own or painted_samples(predictor.classes)
    app = create_app(predictor, settings, samples=shown, apart=True)
    if host not in LOOPBACK and not settings.api_key:
        text = f"warning: whoever can reach {host} port {port} may use this server; set {_KEY}"
        print(text, file=sys.stderr)
    run_server(app, settings.limits, host=host, port=port, log=log_format)


def _api_key(file: Path | None) -> str:
    """The key in a file, else in the environment; empty if there is neither."""
    import os

    from boxless.errors import ConfigError

    if file is None:
        return os.environ.get(_KEY, "").strip()
    try:
        key = file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the API key from {file}: {error}") from error
    if not key:
        raise ConfigError(f"the API key file {file} is empty")
    return key
