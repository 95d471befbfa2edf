"""Images that stand in two parts of a data set with the very same bytes.

A copy of a training image among the test images makes every figure look better than it is. Names do
not tell; contents do. Files are compared by size, then by their last bytes, and only then as a
whole, so looking through a large data set costs one short read an image at most.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence

from boxless.files.paths import place
from boxless.files.remote import file_size, look_ahead, read_file
from boxless.types import ImageRecord

_TAIL = 4096
Pair = tuple[ImageRecord, ImageRecord]


def shared_images(one: Sequence[ImageRecord], other: Sequence[ImageRecord]) -> list[Pair]:
    """Find images of one part that are byte-identical to one of another.

    Args:
        one: Images, such as those trained on.
        other: Images of another part.

    Returns:
        Pairs in the order of `other`. Files that cannot be read are nobody's copy here.
    """
    look_ahead(record.path for record in (*one, *other))
    groups = [(list(one), list(other))]
    for key in (file_size, _tail, _whole):
        groups = [part for left, right in groups for part in _split(left, right, key)]
    pairs = [(left[0], record) for left, right in groups for record in right]
    order = {id(record): place for place, record in enumerate(other)}
    return sorted(pairs, key=lambda pair: order[id(pair[1])])


def _split(
    left: Iterable[ImageRecord],
    right: Iterable[ImageRecord],
    key: Callable[[str], Hashable | None],
) -> list[tuple[list[ImageRecord], list[ImageRecord]]]:
    """Groups of both sides that agree in a key; what occurs on one side alone is dropped."""
    found: dict[Hashable, tuple[list[ImageRecord], list[ImageRecord]]] = defaultdict(
        lambda: ([], [])
    )
    for side, records in enumerate((left, right)):
        for record in records:
            value = record.path if record.path.startswith("scenes:") else key(record.path)
            if value is not None:
                found[value][side].append(record)
    return [pair for pair in found.values() if all(pair)]


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
