"""Images that stand in a data set twice: with the very same bytes, or as near copies.

A copy of a training image among the test images makes every figure look better than it is. Names do
not show it; contents do. Files are compared by size, then by their last bytes, and only then as a
whole, so searching a large data set costs one short read per image at most.

Whoever gathers untagged images easily gathers the test images again: scaled, saved anew, cropped by
a hair, mirrored. Two images count as the same picture where the brightness gradients of their 16 x
16 grey squares correlate by `SAME` or more, as they are or mirrored.

Measured on 749 PASCAL VOC test images of shorter side 256: copies saved at JPEG quality 40,
brightened, scaled by 0.6 or 3 or squashed to 128 x 128 correlate by 0.95 and more, mirrored ones by
0.89, and 98 % of copies that lost 2 % at each side by 0.85. Of the 6.3 million pairs with 8,457
other photographs none reaches 0.82; the closest are motorcycles in a white frame, and two
photographs of one scene taken seconds apart have 0.70.
"""

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from boxless.data.images import load_grey
from boxless.errors import DataError
from boxless.files.paths import file_size, look_ahead, place, read_file
from boxless.types import Float32Array, ImageRecord

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
    """Groups of one key each; what has none is left out."""
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


SAME = 0.85
"""Least correlation, in [-1, 1], of two images that count as the same picture."""

SHOWN = 5
_SIDE = 16
_ROWS = 4096


def near_duplicates(one: Sequence[ImageRecord], other: Sequence[ImageRecord]) -> list[Pair]:
    """Find images of one part that show the same picture as an image of another.

    Args:
        one: Images, such as untagged ones.
        other: Images of another part, such as test.

    Returns:
        An image of `one` with the closest of `other`, in the order of `one`. Files that cannot be
        read, and images of a single brightness, are nobody's copy here.

    Raises:
        RunError: A store of objects refuses, or cannot be reached.
    """
    if not one or not other:
        return []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        squares = np.stack(list(pool.map(_grey, (*one, *other))))
    left, right = squares[: len(one)], squares[len(one) :]
    apart = np.concatenate((_gradients(right), _gradients(right[:, :, ::-1])))
    pairs: list[Pair] = []
    for first in range(0, len(one), _ROWS):
        likeness = _gradients(left[first : first + _ROWS]) @ apart.T
        closest = (likeness.argmax(axis=1) % len(other)).tolist()
        rows = np.flatnonzero(likeness.max(axis=1) >= SAME).tolist()
        pairs += [(one[first + row], other[closest[row]]) for row in rows]
    return pairs


def refuse_near_duplicates(
    untagged: Sequence[ImageRecord],
    apart: Sequence[ImageRecord],
    *,
    drop: bool,
) -> tuple[tuple[ImageRecord, ...], str]:
    """Keep test and held-out images out of the untagged ones.

    Args:
        untagged: Untagged images.
        apart: Images that nothing may be learned from: test, held-out.
        drop: Leave such images out instead of refusing.

    Returns:
        The untagged images without them, and a note about those left out; empty where there are
        none.

    Raises:
        DataError: There are some and ``drop`` is off; the first five are named.
        RunError: A store of objects refuses, or cannot be reached.
    """
    pairs = near_duplicates(untagged, apart)
    if not pairs:
        return tuple(untagged), ""
    found = (
        f"{len(pairs):,} of {len(untagged):,} untagged images show the same picture as a test or"
        " held-out image"
    )
    shown = "".join(f"\n  {one.path} and {two.path} ({two.split})" for one, two in pairs[:SHOWN])
    more = f"\n  … and {len(pairs) - SHOWN:,} more" if len(pairs) > SHOWN else ""
    if not drop:
        raise DataError(
            f"{found}:{shown}{more}",
            hint="figures on them would tell nothing: leave them out with --run.leaks drop, or"
            " accept them with --run.leaks allow",
        )
    out = {one.image_id for one, _ in pairs}
    others = tuple(record for record in untagged if record.image_id not in out)
    return others, f"{found} and are left out, first {pairs[0][0].path} and {pairs[0][1].path}"


def _grey(record: ImageRecord) -> Float32Array:
    try:
        return load_grey(record.path, _SIDE).astype(np.float32)
    except DataError:
        return np.zeros((_SIDE, _SIDE), np.float32)


def _gradients(squares: Float32Array) -> Float32Array:
    """(N, D) differences of neighbouring cells of (N, S, S), each row centred and of length 1."""
    count = len(squares)
    down, across = np.diff(squares, axis=1), np.diff(squares, axis=2)
    rows = np.concatenate((down.reshape(count, -1), across.reshape(count, -1)), axis=1)
    rows -= rows.mean(axis=1, keepdims=True)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(length, 1e-6), np.float32)
