"""Weights of tags, so that rare classes and untrustworthy tags do not count like all others."""

import torch
from torch import Tensor

from boxless.errors import ShapeError


def balanced_weights(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Weights with which a class's present and absent tags count the same in total.

    ``n_k / (2 n_k+)`` of a present and ``n_k / (2 n_k-)`` of an absent tag of class k, which has
    n_k known tags, n_k+ of them present and n_k- absent: scikit-learn's ``class_weight="balanced"``
    for each class (King, Zeng, "Logistic Regression in Rare Events Data", 2001,
    https://doi.org/10.1093/oxfordjournals.pan.a004868).

    Args:
        labels: (M, K) of 1, 0, -1: the tags of all training images.

    Returns:
        (K,) of present and (K,) of absent tags; 0 where a class has none of these.

    Raises:
        ShapeError: The labels are not (M, K).

    Example:
        >>> import torch
        >>> from boxless.losses import TagLoss, balanced_weights
        >>> tags = torch.tensor([[1], [0], [0], [0]])
        >>> present, absent = balanced_weights(tags)
        >>> weights = torch.where(tags == 1, present, absent)
        >>> weights.flatten().tolist()
        [2.0, 0.6666666865348816, 0.6666666865348816, 0.6666666865348816]
        >>> f"{TagLoss()(torch.zeros(4, 1), tags, weights):.3f}"
        '0.693'
    """
    if labels.ndim != 2:
        raise ShapeError(f"labels must be (images, classes), found {tuple(labels.shape)}")
    counts = [(labels == value).sum(0).float() for value in (1, 0)]
    total = counts[0] + counts[1]
    present, absent = (
        torch.where(count > 0, total / (2 * count.clamp(min=1)), 0.0) for count in counts
    )
    return present, absent


def trusted_weights(labels: Tensor, probabilities: Tensor, trust: float) -> Tensor:
    """Weights that doubt an absent tag as far as a teacher sees its class.

    ``1 - trust * p`` of an absent tag, 1 of all others; p is the probability that a teacher which
    was not trained on the image gives the class (cross-fitting).

    Args:
        labels: (N, K) of 1, 0, -1.
        probabilities: (N, K) p in [0, 1].
        trust: How far the teacher is believed, from 0 (not at all: all weights are 1) to 1.

    Returns:
        (N, K) in [0, 1].

    Example:
        >>> import torch
        >>> from boxless.losses import trusted_weights
        >>> trusted_weights(torch.tensor([[1, 0, 0]]), torch.tensor([[0.1, 0.1, 0.75]]), 1.0)
        tensor([[1.0000, 0.9000, 0.2500]])
    """
    return torch.where(labels == 0, 1 - trust * probabilities, 1.0)
