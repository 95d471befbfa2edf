"""Copies of objects on this machine, for what must be a file: mapped tensors, networks."""

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from boxless.errors import StoreError
from boxless.files.atomic import write_atomically
from boxless.files.paths import AnyPath

_SHA256 = re.compile(r"[0-9a-f]{64}")


@contextmanager
def fetched(path: AnyPath) -> Iterator[Path]:
    """A file of this machine with the content of a path, for as long as the context lasts.

    Raises:
        FileNotFoundError: There is no such object.
        RunError: It cannot be read.
    """
    if isinstance(path, Path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="boxless-") as folder:
        copy = Path(folder) / path.name
        copy.write_bytes(path.read_bytes())
        yield copy


def kept_copy(path: AnyPath, sha256: str) -> Path:
    """A file of this machine with the content of a path, kept in `cache_folder`.

    Args:
        path: A file, which is given as it is, or an object.
        sha256: What its checksum must be, as hexadecimal digits.

    Raises:
        FileNotFoundError: There is no such object.
        StoreError: The object is damaged.
        RunError: It cannot be read, or there is no room for it.
    """
    if isinstance(path, Path):
        return path
    if not _SHA256.fullmatch(sha256):
        raise StoreError(f"{path}: expected a SHA-256, found {sha256[:80]!r}")
    copy = cache_folder() / sha256[:2] / f"{sha256}{path.suffix}"
    if copy.is_file() and file_sha256(copy) == sha256:
        return copy
    data = path.read_bytes()
    if _digest(data) != sha256:
        raise StoreError(
            f"{path} is damaged: expected sha256 {sha256}, found {_digest(data)}",
            hint="put the right object in its place, or propose again into a new folder",
        )
    write_atomically(copy, data)
    return copy


def cache_folder() -> Path:
    """Where copies of objects are kept: BOXLESS_CACHE, else ``~/.cache/boxless``."""
    own = os.environ.get("BOXLESS_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "boxless"


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
