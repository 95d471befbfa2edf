"""Places by their names: a path of this machine, or what stands for one in a store (fsspec)."""

import io
import os
import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, overload

from boxless.errors import BoxlessError, ConfigError, MissingExtraError, RunError

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_SQUEEZED = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:$")


def is_url(text: str) -> bool:
    """Whether a text names an object in a store, such as ``s3://bucket/photos/1.jpg``."""
    return _URL.match(text) is not None


@dataclass(frozen=True, slots=True, order=True)
class RemotePath:
    """An object in a store, or the folder that the slashes of its name make of it."""

    url: str

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: str) -> "RemotePath":
        return RemotePath(f"{self.url.rstrip('/')}/{name}")

    @property
    def name(self) -> str:
        """What follows the last slash."""
        return self.url.rstrip("/").rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """As of a `Path`."""
        return Path(self.name).suffix

    @property
    def stem(self) -> str:
        """As of a `Path`."""
        return Path(self.name).stem

    @property
    def parent(self) -> "RemotePath":
        """All before the last slash."""
        return RemotePath(self.url.rstrip("/").rpartition("/")[0])

    def joined(self, inner: str) -> "RemotePath":
        """An object of this bucket by a path from here, which may climb with ``..``."""
        scheme, _, rest = self.url.partition("://")
        return RemotePath(f"{scheme}://{posixpath.normpath(posixpath.join(rest, inner))}")

    def with_name(self, name: str) -> "RemotePath":
        """Another object beside this one."""
        return self.parent / name

    def is_file(self) -> bool:
        """Whether there is such an object."""
        with reached(self.url) as (system, inner):
            return bool(system.isfile(inner))

    def exists(self) -> bool:
        """Whether there is such an object, or any below it."""
        with reached(self.url) as (system, inner):
            return bool(system.exists(inner))

    def is_dir(self) -> bool:
        """Whether there are objects below it."""
        with reached(self.url) as (system, inner):
            return bool(system.isdir(inner))

    def read_bytes(self) -> bytes:
        """All of the object.

        Raises:
            FileNotFoundError: There is none.
            RunError: It cannot be read: no permission, no network.
        """
        with reached(self.url) as (system, inner):
            return bytes(system.cat_file(inner))

    @overload
    def open(self, mode: str) -> IO[bytes]: ...
    @overload
    def open(self, *, encoding: str, newline: str | None = None) -> IO[str]: ...
    def open(
        self, mode: str = "r", *, encoding: str = "utf-8", newline: str | None = None
    ) -> IO[Any]:
        """All of the object as a file to read from; errors as of `read_bytes`."""
        data = io.BytesIO(self.read_bytes())
        return data if "b" in mode else io.TextIOWrapper(data, encoding, newline=newline)

    def replace_with(self, file: Path) -> None:
        """Put the content of a local file in the object's place, in one step.

        Raises:
            RunError: It cannot be written; nothing was changed.
        """
        with reached(self.url) as (system, inner):
            try:
                system.put_file(str(file), inner)
            except FileNotFoundError as error:
                raise RunError(
                    f"cannot write {self.url}: there is no such bucket",
                    hint="make the bucket, then run the same command again: finished work is kept",
                ) from error

    def unlink(self, *, missing_ok: bool = False) -> None:
        """Delete the object."""
        with reached(self.url) as (system, inner):
            if not missing_ok or system.exists(inner):
                system.rm_file(inner)

    def children(self) -> dict[str, int]:
        """Objects directly below: sizes in bytes by name."""
        with reached(self.url) as (system, inner):
            try:
                listed = system.ls(inner, detail=True, refresh=True)
            except FileNotFoundError:
                return {}
        return {
            str(item["name"]).rpartition("/")[2]: int(item["size"] or 0)
            for item in listed
            if item["type"] == "file"
        }

    def files_below(self) -> "list[RemotePath]":
        """All objects below, however deep, sorted; the object itself if it is one.

        Raises:
            RunError: There is no such bucket, or it cannot be listed.
        """
        return self._listed("find")

    def matches(self) -> "list[RemotePath]":
        """Objects that this path, taken as a pattern of a shell, fits; sorted.

        Raises:
            RunError: There is no such bucket, or it cannot be listed.
        """
        return self._listed("glob")

    def _listed(self, how: str) -> "list[RemotePath]":
        with reached(self.url) as (system, inner):
            try:
                found = getattr(system, how)(inner)
            except FileNotFoundError as error:
                raise RunError(
                    f"cannot list {self.url}: there is no such bucket or folder",
                    hint="look for a typing error in the address",
                ) from error
            start = self.url.rstrip("/").removesuffix(inner.lstrip("/"))  # s3://
            return sorted(RemotePath(start + str(name).lstrip("/")) for name in found)


AnyPath = Path | RemotePath


def place(text: str | AnyPath) -> AnyPath:
    """A file of this machine, or an object in a store."""
    if isinstance(text, RemotePath):
        return text
    return RemotePath(text) if isinstance(text, str) and is_url(text) else Path(text)


def require_local(path: Path) -> None:
    """Refuse (`ConfigError`) a URL where only a folder of this machine will do."""
    if path.parts and _SQUEEZED.match(path.parts[0]):
        raise ConfigError(
            f"expected a file or folder of this machine, found an address in a store: {path}",
            hint="run folders, drawings and recipes lie on a file system. `boxless export`,"
            " `boxless predict` and `boxless proposals` take addresses such as s3://BUCKET/NAME"
            " for --out",
        )


@contextmanager
def reached(url: str) -> Iterator[tuple[Any, str]]:
    """Use a store; what goes wrong is told to the user.

    Each package for a store has exceptions of its own, so all of them are told alike.

    Args:
        url: An object or folder.

    Yields:
        fsspec's file system, and the name that the URL has there.

    Raises:
        FileNotFoundError: There is no such object.
        ConfigError: There is no such kind of store.
        MissingExtraError: A package for it is not installed.
        RunError: It refuses, or cannot be reached.
    """
    try:
        from fsspec import get_filesystem_class  # noqa: PLC0415  (optional)
    except ImportError as error:
        raise MissingExtraError("fsspec", "cloud") from error
    try:
        kind = get_filesystem_class(url.partition("://")[0])
        # Not by fsspec's own `url_to_fs`, to which "::" in a name means a chain of stores.
        yield kind(**kind._get_kwargs_from_urls(url)), kind._strip_protocol(url)
    except (FileNotFoundError, BoxlessError):
        raise
    except ImportError as error:
        raise MissingExtraError(error.name or "s3fs", "cloud") from error
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or "no reason given"
        if isinstance(error, ValueError) and "rotocol" in reason:
            raise ConfigError(f"{url}: {reason}", hint="s3://BUCKET/NAME, for example") from error
        raise RunError(
            f"cannot reach {url}: {type(error).__name__}: {reason}",
            hint="look at address, credentials and network (s3: AWS_ACCESS_KEY_ID,"
            " AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL, or ~/.aws), then run the same command again:"
            " finished work is kept",
        ) from error


def read_file(path: str) -> bytes:
    """All of a file or object, by path or URL.

    Raises:
        OSError: It is missing or cannot be read.
        RunError: The store refuses, or cannot be reached.
    """
    return place(path).read_bytes()


def file_size(path: str) -> int | None:
    """Bytes of a file or object; None where there is none. See `look_ahead` for many URLs.

    Raises:
        RunError: The store refuses, or cannot be reached.
    """
    if not is_url(path):
        try:
            return os.stat(path).st_size  # noqa: PTH116  (asked for every image)
        except OSError:
            return None
    with reached(path) as (system, inner):
        try:
            return int(system.info(inner)["size"])
        except FileNotFoundError:
            return None


def look_ahead(paths: Iterable[str]) -> None:
    """List the folders of many URLs, so that `file_size` need not ask for each.

    Raises:
        RunError: A store refuses, or cannot be reached.
    """
    folders = Counter(path.rpartition("/")[0] for path in paths if is_url(path))
    for folder, count in folders.items():
        if count > 1:
            RemotePath(folder).children()
