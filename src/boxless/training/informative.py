"""Which images to keep where there is no room for all: those whose tags say most."""

import numpy as np
from numpy.typing import NDArray

from boxless.types import PRESENT, Int8Array


def information(labels: Int8Array) -> NDArray[np.float64]:
    """Bits that the tags of each image carry: many tags, and rare ones, count most.

    The sum over its classes of ``-log2`` of the share of images that have the class (the
    self-information of independent tags, Shannon 1948).

    Args:
        labels: (M, K) of 1, 0, -1.

    Returns:
        (M,) at least 0.
    """
    present = labels == PRESENT
    share = np.maximum(present.sum(0), 1) / max(len(labels), 1)
    bits: NDArray[np.float64] = present @ -np.log2(share)
    return bits


def most_informative(labels: Int8Array, count: int) -> NDArray[np.int64]:
    """Rows of the images with the most information.

    Args:
        labels: (M, K) of 1, 0, -1.
        count: How many; all where there are fewer.

    Returns:
        Rows in ascending order; of equals the first ones.
    """
    chosen = np.argsort(-information(labels), kind="stable")[:count]
    return np.sort(chosen).astype(np.int64)
