"""How finely proposals are measured, so that a box takes eight bytes and a score two.

A proposer's coordinates lie on a lattice: a power of two steps a pixel, as many as 16 bits reach
across the image (1/128 pixel at 500 pixels); its scores have half precision. A shard whose numbers
are all of that kind is stored so, and reads the same bit for bit; any other, of imported boxes for
instance, is stored in single precision.
"""

from collections.abc import Sequence

import numpy as np

from boxless.types import Float32Array, Proposals

MOST = np.iinfo(np.uint16).max


def steps_per_pixel(width: int, height: int) -> float:
    """The lattice of an image of that size in pixels: a power of two, at least 1."""
    reach = int(np.log2(MOST / max(width, height, 1)))
    return 2.0 ** max(reach, 0)


def on_lattice(boxes: Float32Array, width: int, height: int) -> Float32Array:
    """Boxes (R, 4) inside an image, each coordinate moved to the lattice by half a step at most."""
    steps = steps_per_pixel(width, height)
    rounded: Float32Array = (np.rint(boxes * steps) / steps).astype(np.float32)
    return rounded


def half(scores: Float32Array) -> Float32Array:
    """Scores (R,) with no more digits than half precision has; their order stays."""
    return scores.astype(np.float16).astype(np.float32)


def packed_boxes(found: Sequence[Proposals]) -> np.ndarray:
    """Boxes of a shard as stored: (all, 4) uint16 lattice steps if all fit, else float32."""
    scaled = [entry.boxes * steps_per_pixel(entry.width, entry.height) for entry in found]
    joined = np.concatenate([np.zeros((0, 4), np.float32), *scaled])
    if (joined == np.rint(joined)).all() and (joined >= 0).all() and (joined <= MOST).all():
        return joined.astype(np.uint16)
    return np.concatenate([entry.boxes for entry in found]).astype(np.float32)


def packed_scores(found: Sequence[Proposals]) -> np.ndarray:
    """Scores of a shard as they are stored: (all,) float16 if that is exact, else float32."""
    joined = np.concatenate([np.zeros(0, np.float32), *(entry.scores for entry in found)])
    with np.errstate(over="ignore"):
        short = joined.astype(np.float16)
    return short if (short == joined).all() else joined.astype(np.float32)


def unpacked_boxes(stored: np.ndarray, width: int, height: int) -> Float32Array:
    """Boxes of one image, from what `packed_boxes` gave."""
    if stored.dtype == np.uint16:
        pixels: Float32Array = np.divide(stored, np.float32(steps_per_pixel(width, height)))
        return pixels
    return stored


def unpacked_scores(stored: np.ndarray) -> Float32Array:
    """Scores of one image, from what `packed_scores` gave."""
    return stored.astype(np.float32, copy=False)
