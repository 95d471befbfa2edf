"""The boxes of the authors' list files and our proposals, turned into each other exactly.

In a list, boxes are in the frame of the image resized to 672 x 672: pixels counted from 0, the last
one included (``human_att_data_layer.cpp`` and ``data_transformer.cpp`` of
https://github.com/Yochengliu/MLIC-KD-WSD). Ours are continuous, in pixels of the original image,
ends exclusive. With W pixels of original width,

    x1 = x_min * W / 672        x2 = (x_max + 1) * W / 672

and likewise in height. Every image of a list has the same number of boxes; we fill up with boxes
``0 0 0 0 0``, which weigh nothing there, and take them off when reading.

Numbers are written with the fewest decimals that give the same float32 proposal again. So any store
comes back bit for bit, and a list of whole coordinates, or of up to six digits, byte for byte.
"""

import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from boxless.errors import DataError
from boxless.proposals.checks import first_fault
from boxless.proposals.index import StoreInputs
from boxless.proposals.store import ProposalStore
from boxless.proposals.writer import ProposalWriter
from boxless.types import Float32Array, Float64Array, Proposals

FRAME = 672
"""Side of the authors' resized images, in pixels."""

_MOST_DECIMALS = 22  # powers of ten are exact float64 numbers up to here


def parse_boxes(
    words: Sequence[str], width: int, height: int, *, source: str, frame: int = FRAME
) -> Proposals:
    """Turn the words of a line into proposals, without those that only fill up.

    Args:
        words: 5 R numbers.
        width: Width of the original image in pixels.
        height: Its height.
        source: ``file:line``, for messages.
        frame: Side of the resized image that the coordinates refer to.

    Raises:
        DataError: A word is no number, a box is inverted or lies outside the frame, a score is
            negative, or there is no box.
    """
    values = _numbers(words, source)
    real = np.flatnonzero(values.any(axis=1))
    values = values[: real[-1] + 1] if real.size else values[:0]
    if not len(values):
        raise DataError(f"{source}: expected at least one box, found none")
    boxes = _scaled(values[:, :4], _scale(width, height, frame))
    scores = values[:, 4].astype(np.float32)
    found = first_fault(boxes, scores, width, height)
    if found is not None:
        row, _ = found
        raise DataError(
            f"{source}: box {row + 1}: expected 0 <= x_min <= x_max <= {frame - 1}, likewise "
            f"y, and a score >= 0, found {' '.join(words[5 * row : 5 * row + 5])}",
            hint=f"coordinates count pixels of the image resized to {frame} x {frame}",
        )
    return Proposals(boxes, scores, width, height)


def format_boxes(proposals: Proposals, count: int, *, frame: int = FRAME) -> str:
    """Turn the first ``count`` proposals into the words of a line; ``0 0 0 0 0`` fills up."""
    boxes, scores = proposals.boxes[:count], proposals.scores[:count]
    scale = _scale(proposals.width, proposals.height, frame)
    exact = boxes.astype(np.float64) / scale
    exact[:, 2:] -= 1
    corners = _fewest_decimals(exact, boxes, lambda values: _scaled(values, scale))
    weights = _fewest_decimals(
        scores.astype(np.float64), scores, lambda values: values.astype(np.float32)
    )
    table = np.column_stack([corners, weights])
    words = [_text(value) for value in table.ravel().tolist()]
    return " ".join([*words, *["0"] * (5 * (count - len(boxes)))])


def fill_store(
    folder: Path, inputs: StoreInputs, found: Iterable[tuple[str, Proposals]]
) -> ProposalStore:
    """Write proposals that exist already into a store.

    Args:
        folder: Where the store will be; where ``found`` fails, one made here is removed again.
        inputs: What the store is made from; its ``image_ids`` give the order of ``found``.
        found: (id, proposals) of every image, in that order; taken one shard at a time.

    Raises:
        StoreError: The folder holds something else, or a box is unusable.
    """
    fresh = not folder.exists()
    writer = ProposalWriter(folder, inputs)
    stream = iter(found)
    try:
        for number in range(writer.shard_count):
            shard = [next(stream) for _ in writer.shard_ids(number)]
            writer.write_shard(number, shard)
    except BaseException:
        if fresh:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    return writer.finish()


def _numbers(words: Sequence[str], source: str) -> Float64Array:
    try:
        values = np.array(words, np.float64).reshape(-1, 5)
    except ValueError as error:
        raise DataError(f"{source}: expected five numbers per box: {error}") from None
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
        raise DataError(f"{source}: box {row + 1}: expected finite numbers")
    return values


def _scale(width: int, height: int, frame: int) -> Float64Array:
    return np.array([width, height, width, height], np.float64) / frame


def _scaled(values: Float64Array, scale: Float64Array) -> Float32Array:
    """List coordinates -> float32 boxes in the original image."""
    ends = np.array([0, 0, 1, 1], np.float64)
    return ((values + ends) * scale).astype(np.float32)


def _fewest_decimals(
    exact: Float64Array,
    wanted: Float32Array,
    back: Callable[[Float64Array], Float32Array],
) -> Float64Array:
    """Round each number as far as it still leads back to the wanted float32."""
    result = exact.copy()
    open_ = np.ones(wanted.shape, bool)
    for decimals in range(_MOST_DECIMALS + 1):
        rounded = np.round(exact, decimals)
        fits = open_ & (back(rounded) == wanted)
        result[fits] = rounded[fits]
        open_ &= ~fits
        if not open_.any():
            break
    return result


def _text(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)
