"""``boxless serve``: an exported student behind HTTP, with a page."""

from pathlib import Path
from typing import Literal

_KEY = "BOXLESS_API_KEY"


def serve(
    model: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    batch_size: int = 16,
    max_delay_ms: float = 2.0,
    queue_size: int = 256,
    threads: int = 1,
    decoders: int = 2,
    max_body_mb: float = 32.0,
    max_files: int = 32,
    max_megapixels: float = 40.0,
    timeout: float = 30.0,
    api_key_file: Path | None = None,
    allow_host: tuple[str, ...] = (),
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
        batch_size: Most images computed together.
        max_delay_ms: Maximum batching delay: how long an incomplete batch waits for more images.
        queue_size: Most images taken in and not answered yet; more are answered 503.
        threads: Threads that a batch is computed with; 0 takes all cores.
        decoders: Threads that decode images.
        max_body_mb: Largest request body, in megabytes.
        max_files: Most images in a request.
        max_megapixels: Largest image.
        timeout: Seconds from a request to its answer.
        api_key_file: File with the key that requests must carry.
        allow_host: Name that requests may call this server by, beside loopback's; may be repeated.
        samples: Folder of images that the page offers instead of painted scenes.
        log_format: What logs on stderr are: JSON lines, or lines for people.
    """
    import sys

    from boxless.errors import ConfigError, MissingExtraError

    if not 0 <= port <= 65535:
        raise ConfigError(f"--port must be between 0 and 65535, found {port}")
    try:
        from boxless.serving.app import create_app
        from boxless.serving.pages import painted_samples, samples_in
        from boxless.serving.server import run_server
        from boxless.serving.settings import LOOPBACK, MEGABYTE, Limits, ServeSettings
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "fastapi", "serve") from error
    from boxless.inference.predictor import Predictor

    body = round(max_body_mb * MEGABYTE)
    limits = Limits(
        body_bytes=body,
        buffered_bytes=max(8 * body, 256 * MEGABYTE),
        files=max_files,
        pixels=round(max_megapixels * 1_000_000),
        body_seconds=min(20.0, timeout),
        seconds=timeout,
    )
    settings = ServeSettings(
        batch_size=batch_size,
        max_delay=max_delay_ms / 1000,
        queue_size=queue_size,
        decoders=decoders,
        api_key=_api_key(api_key_file),
        hosts=LOOPBACK | set(allow_host) if allow_host or host in LOOPBACK else frozenset(),
        limits=limits,
    )
    offered = painted_samples() if samples is None else samples_in(samples)
    app = create_app(Predictor.load(model, threads=threads), settings, samples=offered)
    if host not in LOOPBACK and not settings.api_key:
        text = f"warning: whoever can reach {host} port {port} may use this server; set {_KEY}"
        print(text, file=sys.stderr)
    run_server(app, limits, host=host, port=port, log=log_format)


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
