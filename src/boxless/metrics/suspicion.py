"""Which tags are suspicious: the tags of images that a model did not see in training, judged by it.

Every class's errors are taken to be as many in one direction as in the other (so the class keeps
its frequency), e times its rarer side. Given the probability p that the class is present, Bayes'
rule makes the odds that a tag is wrong

    present: e / (1 - e) * (1 - p) / p * min(n, m) / m
    absent:  e / (1 - e) * p / (1 - p) * min(n, m) / n

with n images that have the tag and m that do not. The first factor changes no order and is left
out. So where a class is rare a tag that somebody gave is trusted more than its absence: nobody tags
a cow by oversight. Without the last factors this is the self-confidence of confident learning
(Northcutt, Jiang and Chuang, JAIR 2021; for many labels Thyagarajan et al., arXiv 2211.13895).

Which images to tag next is asked beside: those of which a model is unsure, each for another reason.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from boxless.errors import NumericsError, ShapeError
from boxless.metrics.inputs import as_scores, check_finite, check_pair
from boxless.types import ABSENT, PRESENT, UNKNOWN, Float64Array


def tag_suspicion(probabilities: ArrayLike, labels: ArrayLike) -> Float64Array:
    """How likely each tag is wrong, to put the most suspicious ones first.

    Args:
        probabilities: (M, K) in [0, 1], of models that were trained without the image.
        labels: (M, K) tags as they are: 1 present, 0 absent, -1 unknown.

    Returns:
        (M, K) in [0, 1]; NaN where a tag is unknown. It orders tags; as a probability it would be
        too high, for it takes as many tags for wrong as for right.

    Raises:
        ShapeError: The shapes differ.
        NumericsError: A probability is not finite, or outside [0, 1].
        DataError: A label is not 1, 0 or -1.

    Example:
        >>> from boxless.metrics import tag_suspicion
        >>> tag_suspicion([[0.9, 0.2], [0.1, 0.2], [0.2, 0.5]], [[0, 1], [0, 0], [1, -1]]).round(2)
        array([[0.9 , 0.8 ],
               [0.1 , 0.2 ],
               [0.67,  nan]])
    """
    scores, tags = check_pair(probabilities, labels)
    p = scores.astype(np.float64)
    if p.size and not (p.min() >= 0 and p.max() <= 1):
        raise NumericsError(
            f"expected probabilities in [0, 1], found {p.min():g} to {p.max():g}",
            hint="apply the sigmoid to logits first",
        )
    present, absent = ((tags == value).sum(0) for value in (PRESENT, ABSENT))
    rarer = np.minimum(present, absent)
    doubt = np.where(tags == PRESENT, 1 - p, p)
    weight = np.where(tags == PRESENT, rarer / absent.clip(1), rarer / present.clip(1))
    against, favor = doubt * weight, 1 - doubt
    total = against + favor
    found = np.divide(against, total, out=np.zeros_like(p), where=total > 0)
    return np.where(tags == UNKNOWN, np.nan, found)


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
