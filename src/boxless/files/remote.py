"""Files and objects by their names alone."""

import os
from collections import Counter
from collections.abc import Iterable

from boxless.files.paths import RemotePath, is_url, place
from boxless.files.reach import reached


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
