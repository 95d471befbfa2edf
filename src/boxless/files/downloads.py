"""Files from the web, checked against their checksum and kept."""

import hashlib
import http.client
import re
import urllib.request
from pathlib import Path
from typing import IO, Final
from urllib.error import HTTPError
from urllib.parse import urldefrag, urlparse

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from boxless.errors import ConfigError, RunError, StoreError
from boxless.files.atomic import replacing
from boxless.files.console import plain_console
from boxless.files.copies import cache_folder, file_sha256

_CHECKSUM: Final = re.compile(r"sha256=([0-9a-f]{64})")
_PIECE: Final = 1 << 18
_PATIENCE: Final = 30.0


def is_web(address: str) -> bool:
    """Whether an address is one of the web: ``https://`` or ``http://``."""
    return address.startswith(("https://", "http://"))


def downloaded(address: str) -> Path:
    """A file from the web, kept in `cache_folder` under its checksum.

    Args:
        address: Such as ``https://example.com/student.onnx#sha256=…`` with 64 hexadecimal digits.

    Raises:
        ConfigError: The address has no checksum.
        RunError: The server does not give the file, or it cannot be written here.
        StoreError: What came is another file, or part of one; nothing is kept.
    """
    url, fragment = urldefrag(address)
    found = _CHECKSUM.fullmatch(fragment)
    if found is None:
        raise ConfigError(
            f"expected an address that ends in #sha256= and 64 hexadecimal digits, found {address}",
            hint="`sha256sum student.onnx` prints them; who offers the file can tell them, too",
        )
    sha256 = found[1]
    name = Path(urlparse(url).path).name or "file"
    kept = cache_folder() / sha256[:2] / f"{sha256}{Path(name).suffix}"
    if kept.is_file() and file_sha256(kept) == sha256:
        return kept
    try:
        with urllib.request.urlopen(url, timeout=_PATIENCE) as answer:  # noqa: S310  (is_web)
            _keep(answer, kept, sha256, url)
    except HTTPError as error:
        raise RunError(
            f"{url}: the server answered {error.code} {error.reason}", hint="look at the address"
        ) from error
    except (OSError, http.client.HTTPException) as error:
        reason = " ".join(str(getattr(error, "reason", error)).split())[:200]
        raise RunError(
            f"{url} cannot be downloaded: {reason}", hint="look at address and network"
        ) from error
    return kept


def _keep(answer: http.client.HTTPResponse, kept: Path, sha256: str, url: str) -> None:
    """Write what a server sends, in one step, once its checksum is known to be right."""
    size = int(answer.headers.get("Content-Length") or 0)
    with replacing(kept, expected=size or None) as file:
        found = _copy(answer, file, Path(urlparse(url).path).name, size)
        if found != sha256:
            raise StoreError(
                f"{url} is another file than expected, or was cut off: expected sha256 {sha256},"
                f" found {found}",
                hint="try once more; if it stays so, ask who offers it for the right checksum",
            )


def _copy(answer: http.client.HTTPResponse, file: IO[bytes], name: str, size: int) -> str:
    """Copy with a progress bar on a terminal; the checksum of what came."""
    console, digest = plain_console(stderr=True), hashlib.sha256()
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(name, total=size or None)
        while piece := answer.read(_PIECE):
            digest.update(piece)
            file.write(piece)
            bar.advance(task, len(piece))
    return digest.hexdigest()
