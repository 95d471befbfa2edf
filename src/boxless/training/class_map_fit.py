"""Fit class maps to tags: in closed convergence, penalty chosen by cross-validation."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from boxless.errors import DataError
from boxless.metrics.average_precision import mean_average_precision
from boxless.models.class_maps import ClassMaps
from boxless.models.logistic import fit_logistic, rotate


@dataclass(frozen=True, slots=True)
class Validated:
    """What cross-validation found.

    Attributes:
        ridge: The penalty whose predictions of unseen images had the smallest loss.
        fits: Per fold the weights (r + 1, K) fitted without it, with that penalty.
        logits: (M, K), each image by the fit that did not see it.
        losses: Mean cross-entropy of unseen images by penalty.
    """

    ridge: float
    fits: list[Tensor]
    logits: Tensor
    losses: dict[float, float]

    def mean_average_precision(self, labels: Tensor) -> float:
        """MAP of `logits`, in [0, 1]."""
        names = tuple(map(str, range(labels.shape[1])))
        found = mean_average_precision(self.logits.numpy(), labels.numpy(), classes=names)
        return float(np.nan_to_num(found.value))


def cross_validate(
    vectors: Tensor, labels: Tensor, folds: Tensor, ridges: Sequence[float]
) -> Validated:
    """Fit without each fold, with every penalty.

    Args:
        vectors: (M, r) float64 of `rotate`.
        labels: (M, K) of 1, 0, -1.
        folds: (M,) fold of each image, 0 to F - 1.
        ridges: Penalties.

    Raises:
        DataError: No label is known.
        NumericsError: A fit does not converge.
    """
    known = labels >= 0
    if not bool(known.any()):
        raise DataError("class maps need tags, but no label of the training images is known")
    count, best = int(folds.max()) + 1, None
    starts: list[Tensor | None] = [None] * count
    losses = {}
    for ridge in sorted(ridges, reverse=True):
        logits = torch.zeros(labels.shape, dtype=torch.float64)
        fits = []
        for fold, start in enumerate(starts):
            seen = folds != fold
            fits.append(fit_logistic(vectors[seen], labels[seen], ridge=ridge, start=start))
            logits[~seen] = vectors[~seen] @ fits[-1][:-1] + fits[-1][-1]
        starts = list(fits)
        terms = functional.binary_cross_entropy_with_logits(logits[known], labels[known].double())
        losses[ridge] = float(terms)
        if best is None or losses[ridge] < losses[best.ridge]:
            best = Validated(ridge, fits, logits, losses)
    assert best is not None, "there is at least one penalty"
    return best


@torch.no_grad()
def fit_class_maps(
    model: ClassMaps, vectors: Tensor, labels: Tensor, folds: Tensor, ridges: Sequence[float]
) -> Validated:
    """Give the heads their weights: head 0 from all images, head 1 + f without fold f.

    Each part of the vectors is centered and divided by one number, so that all parts together have
    a mean squared length of 1: a penalty then means the same for any backbone.

    Args:
        model: Its heads are changed.
        vectors: (M, D) of `ClassMaps.vectors`.
        labels: (M, K) of 1, 0, -1.
        folds: (M,) fold of each image.
        ridges: Penalties to choose from.
    """
    vectors = vectors.double()
    center = vectors.mean(0)
    pieces = torch.split(vectors - center, list(model.widths.values()), 1)
    sizes = [piece.square().sum(1).mean().sqrt().clamp(min=1e-12) for piece in pieces]
    scale = torch.cat(
        [
            (1 / (size * len(pieces) ** 0.5)).expand(piece.shape[1])
            for size, piece in zip(sizes, pieces, strict=True)
        ]
    )
    rotated, basis = rotate((vectors - center) * scale)
    found = cross_validate(rotated, labels, folds, ridges)
    whole = fit_logistic(rotated, labels, ridge=found.ridge)
    for head, fit in zip(model.heads, [whole, *found.fits], strict=False):  # without folds: one
        assert isinstance(head, nn.Linear)
        weight = (fit[:-1].T @ basis) * scale
        head.weight.copy_(weight)
        head.bias.copy_(fit[-1] - weight @ center)
    return found
