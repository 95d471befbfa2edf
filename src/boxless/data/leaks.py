"""Images that stand in a data set twice with the very same bytes.

A copy of a training image among the test images makes every figure look better than it is. Names do
not tell; contents do. Files are compared by size, then by their last bytes, and only then as a
whole, so looking through a large data set costs one short read an image at most.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence

from boxless.files.paths import place
from boxless.files.remote import file_size, look_ahead, read_file
from boxless.types import ImageRecord

_TAIL = 4096
Pair = tuple[ImageRecord, ImageRecord]
Group = list[tuple[int, ImageRecord]]
"""Images, each behind the number of its part."""


def shared_images(one: Sequence[ImageRecord], other: Sequence[ImageRecord]) -> list[Pair]:
    """Find images of one part that are byte-identical to one of another.

    Args:
        one: Images, such as those trained on.
        other: Images of another part.

    Returns:
        Pairs in the order of `other`. Files that cannot be read are nobody's copy here.
    """
    groups = equal_images((one, other), lambda group: len({part for part, _ in group}) == 2)
    pairs = [(group[0][1], record) for group in groups for part, record in group if part]
    order = {id(record): place for place, record in enumerate(other)}
    return sorted(pairs, key=lambda pair: order[id(pair[1])])


def equal_images(
    parts: Sequence[Sequence[ImageRecord]], wanted: Callable[[Group], bool]
) -> list[Group]:
    """Groups of byte-identical images, in the order of the parts; only those that are wanted."""
    look_ahead(record.path for part in parts for record in part)
    groups = [[(number, record) for number, part in enumerate(parts) for record in part]]
    for key in (file_size, _tail, _whole):
        groups = [found for group in groups for found in _split(group, key) if wanted(found)]
    return groups


def _split(group: Group, key: Callable[[str], Hashable | None]) -> list[Group]:
    """Groups that agree in a key; what has none is left out."""
    found: dict[Hashable, Group] = defaultdict(list)
    for part, record in group:
        value = record.path if record.path.startswith("scenes:") else key(record.path)
        if value is not None:
            found[value].append((part, record))
    return list(found.values())


def _tail(path: str) -> bytes | None:
    try:
        with place(path).open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL))
            return file.read()
    except OSError:
        return None


def _whole(path: str) -> bytes | None:
    try:
        return hashlib.sha256(read_file(path)).digest()
    except OSError:
        return None
