"""Which images to tag next: those of which a model is unsure, each for another reason."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from boxless.errors import ShapeError
from boxless.metrics.inputs import as_scores, check_finite


def next_to_tag(probabilities: ArrayLike, count: int) -> NDArray[np.int64]:
    """Images worth tagging, by uncertainty and diversity at once.

    An image is described by how far the model is from being sure of each class, min(p, 1 - p).
    The first is the one that is least sure; each next one lies farthest from all before it. Sure
    images lie near the origin, so unsure ones are far from them; but one that is unsure of the
    same classes as an image chosen before brings little news. This is BADGE (Ash et al., ICLR
    2020) with the biases' gradients alone, |p - round(p)|, and the farthest image in place of one
    that is drawn.

    Args:
        probabilities: (M, K) in [0, 1], of images without tags.
        count: How many to choose; at most M are.

    Returns:
        (count,) rows, the first the most worth.

    Raises:
        ShapeError: The probabilities are no matrix.
        NumericsError: One is not finite.
    """
    scores = as_scores(probabilities, name="probabilities")
    if scores.ndim != 2:
        raise ShapeError(f"expected probabilities of shape (M, K), found {scores.shape}")
    check_finite(scores, name="probabilities")
    doubts = np.minimum(scores, 1 - scores).astype(np.float64)
    distance = np.square(doubts).sum(1)
    chosen: list[int] = []
    for _ in range(min(count, len(doubts))):
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.square(doubts - doubts[chosen[-1]]).sum(1))
        distance[chosen] = -1
    return np.array(chosen, np.int64)
