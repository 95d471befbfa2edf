"""Fit class maps to tags: in closed convergence, penalty chosen by cross-validation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from boxless.errors import DataError
from boxless.metrics.average_precision import mean_average_precision
from boxless.models.cell_pooling import cell_logits, fit_cells
from boxless.models.class_maps import ClassMaps
from boxless.models.logistic import fit_logistic, rotate

CELL_RANK: Final = 128
"""Directions of features, largest variance first, in which single cells are weighed."""
SIDE_BY_SIDE: Final = 2**21
"""Logits, of images times classes times fits, that are computed at once."""
CELLS_SEEN: Final = 8192
"""Cells that show these directions."""
HOPELESS: Final = 1.05
"""Loss of a fold's unseen images, over that of the other parts, above which single cells are not
tried on other folds. Photographs gave 1.10 to 1.22 in every fold, painted scenes 0.57 to 0.87."""


class Fit(Protocol):
    """`boxless.models.logistic.fit_logistic`, or another fit of a linear layer."""

    def __call__(
        self, inputs: Tensor, labels: Tensor, *, ridge: float, start: Tensor | None = None
    ) -> Tensor:
        """Weights (r + 1, K) of inputs (M, r, ...), the last row the biases."""


def linear_logits(vectors: Tensor, weight: Tensor) -> Tensor:
    """Logits (M, K) of vectors (M, r); weights (r + 1, K) as those of `fit_logistic`."""
    return vectors @ weight[:-1] + weight[-1]


Layers = list[tuple[Tensor, Tensor]]
"""Weight (K, D) and bias (K,) of every head."""


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

    @property
    def loss(self) -> float:
        """That of `ridge`."""
        return self.losses[self.ridge]

    def mean_average_precision(self, labels: Tensor) -> float:
        """MAP of `logits`, in [0, 1]."""
        names = tuple(map(str, range(labels.shape[1])))
        found = mean_average_precision(self.logits.numpy(), labels.numpy(), classes=names)
        return float(np.nan_to_num(found.value))


def cross_validate(
    inputs: Tensor,
    labels: Tensor,
    folds: Tensor,
    ridges: Sequence[float],
    *,
    fit: Fit = fit_logistic,
    predict: Callable[[Tensor, Tensor], Tensor] = linear_logits,
    looks: int | None = None,
) -> Validated:
    """Fit without each fold, with ever smaller penalties until the loss of unseen images rises.

    Args:
        inputs: (M, r) float64 of `rotate`, or what else `fit` takes.
        labels: (M, K) of 1, 0, -1.
        folds: (M,) fold of each image, 0 to F - 1.
        ridges: Penalties.
        fit: Fits some images.
        predict: What a fit says of others: logits (M, K) of inputs and weights.
        looks: Look at the first so many folds alone; logits of other images are 0 then, and count
            in no loss.

    Raises:
        DataError: No label is known.
        NumericsError: A fit does not converge.
    """
    if not bool((labels >= 0).any()):
        raise DataError("class maps need tags, but no label of the training images is known")
    count, best = looks or int(folds.max()) + 1, None
    fits: list[Tensor] = []
    losses = {}
    for ridge in sorted(ridges, reverse=True):
        logits = torch.zeros(labels.shape, dtype=torch.float64)
        fits = _without_each(inputs, labels, folds, partial(fit, ridge=ridge), fits, count)
        for fold, one in enumerate(fits):
            unseen = folds == fold
            logits[unseen] = predict(inputs[unseen], one).double()
        losses[ridge] = _loss(logits, labels, folds < count)
        if best is not None and losses[ridge] >= losses[best.ridge]:
            break
        best = Validated(ridge, fits, logits, losses)
    assert best is not None, "there is at least one penalty"
    return best


def _without_each(
    inputs: Tensor,
    labels: Tensor,
    folds: Tensor,
    fit: Callable[..., Tensor],
    starts: list[Tensor],
    count: int,
) -> list[Tensor]:
    """Fits without fold 0, 1, and so on, each from where it starts, if there is that.

    Linear ones side by side, as more classes whose labels are unknown in the fold: as every step
    reads all inputs, five at once take half the time of five.
    """
    M, K = labels.shape
    together = max(1, SIDE_BY_SIDE // (M * K)) if inputs.dim() == 2 else 1
    found: list[Tensor] = []
    for some in torch.split(torch.arange(count), together):
        wide = torch.cat([labels.masked_fill((folds == f)[:, None], -1) for f in some], 1)
        start = torch.cat([starts[f] for f in some], 1) if starts else None
        rows = slice(None) if len(some) > 1 else folds != some
        found += torch.split(fit(inputs[rows], wide[rows], start=start), K, 1)
    return found


def _loss(logits: Tensor, labels: Tensor, rows: Tensor) -> float:
    """Mean cross-entropy of the known labels (M, K) in some rows (M,) bool."""
    known = (labels >= 0) & rows[:, None]
    return float(functional.binary_cross_entropy_with_logits(logits[known], labels[known].double()))


@torch.no_grad()
def fit_class_maps(
    model: ClassMaps,
    vectors: Tensor,
    labels: Tensor,
    folds: Tensor,
    ridges: Sequence[float],
    cells: Tensor | None = None,
) -> Validated:
    """Give the heads their weights: head 0 from all images, head 1 + f without fold f.

    Each part of the vectors is centered and divided by one number, so that all parts together have
    a mean squared length of 1, as have cells: a penalty then means the same for any backbone.
    ``means`` and ``peaks`` pool the same features and stand for each other; so do cells and all
    other parts. The loss of unseen images chooses among them, as it chooses the penalty; what was
    not chosen has the weight 0.

    Args:
        model: Its heads are changed.
        vectors: (M, D) of `ClassMaps.vectors`.
        labels: (M, K) of 1, 0, -1.
        folds: (M,) fold of each image.
        ridges: Penalties to choose from.
        cells: (M, C, P) features of single cells, where they are a part.
    """
    width = vectors.shape[1]
    parts = [part for part in model.parts if part != "cells"]
    choices = [[part for part in parts if part != idle] for idle in ("means", "peaks")]
    if not {"means", "peaks"} <= set(parts):  # nothing to choose
        choices = [parts] if parts else []
    tries = [(*_fit_parts(model, used, vectors, labels, folds, ridges), 0) for used in choices]
    if cells is not None:
        rival = min((one[0] for one in tries), key=lambda one: one.loss, default=None)
        fitted = _fit_cells(cells, labels, folds, ridges, rival)
        tries += [(*fitted, width)] if fitted is not None else []
    found, layers, start = min(tries, key=lambda one: one[0].loss)
    for head, (weight, bias) in zip(model.heads, layers, strict=False):  # without folds: one
        assert isinstance(head, nn.Linear)
        head.weight.zero_()
        head.weight[:, start : start + weight.shape[1]] = weight
        head.bias.copy_(bias)
    return found


def _fit_parts(
    model: ClassMaps,
    used: Sequence[str],
    vectors: Tensor,
    labels: Tensor,
    folds: Tensor,
    ridges: Sequence[float],
) -> tuple[Validated, Layers]:
    """What cross-validation found for the parts that are used, and its layers on all but cells."""
    rotated, basis, center, scale = _scaled(model, used, vectors.double())
    found = cross_validate(rotated, labels, folds, ridges)
    start = torch.stack(found.fits).mean(0)
    whole = fit_logistic(rotated, labels, ridge=found.ridge, start=start)
    return found, [_layer(fit, basis * scale, center) for fit in (whole, *found.fits)]


def _scaled(
    model: ClassMaps, used: Sequence[str], vectors: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Vectors (M, D) centered, scaled and rotated; the basis, center and scale of that.

    As few of (M, D) at a time as can be: of many images they are the largest there is in memory.
    """
    center = vectors.mean(0)
    vectors = vectors - center
    widths = {part: width for part, width in model.widths.items() if part != "cells"}
    scales = []
    for part, piece in zip(widths, torch.split(vectors, list(widths.values()), 1), strict=True):
        size = piece.square().sum(1).mean().sqrt().clamp(min=1e-12)
        share = 1 / (size * len(used) ** 0.5) if part in used else torch.zeros_like(size)
        scales.append(share.expand(piece.shape[1]))
    scale = torch.cat(scales)
    rotated, basis = rotate(vectors.mul_(scale))
    return rotated, basis, center, scale


def _fit_cells(
    cells: Tensor,
    labels: Tensor,
    folds: Tensor,
    ridges: Sequence[float],
    rival: Validated | None,
) -> tuple[Validated, Layers] | None:
    """The same for cells (M, C, P), in the `CELL_RANK` directions in which they vary most.

    None where the first fold already shows that a rival is better.
    """
    center = cells.mean((0, 2), dtype=torch.float32)
    spread, seen = torch.zeros(len(center), len(center)), cells[:: _step_of(cells)]
    for image in seen:
        features = image.float() - center[:, None]
        spread += features @ features.T
    _, axes = torch.linalg.eigh(spread.double())
    size = (spread.trace() / (len(seen) * cells.shape[2])).sqrt().clamp(min=1e-12)
    basis = axes.flip(1)[:, :CELL_RANK].T.float() / size
    rotated = torch.stack([basis @ (image.float() - center[:, None]) for image in cells])
    validate = partial(cross_validate, fit=fit_cells, predict=cell_logits)
    if rival is not None:
        first = validate(rotated, labels, folds, ridges, looks=1)
        if first.loss > HOPELESS * _loss(rival.logits, labels, folds == 0):
            return None
    found = validate(rotated, labels, folds, ridges)
    whole = fit_cells(rotated, labels, ridge=found.ridge)
    return found, [_layer(fit, basis, center) for fit in (whole, *found.fits)]


def _step_of(cells: Tensor) -> int:
    """Every how many-th image of cells (M, C, P) is enough to see how they vary."""
    return max(1, len(cells) * cells.shape[2] // CELLS_SEEN)


def _layer(fit: Tensor, basis: Tensor, center: Tensor) -> tuple[Tensor, Tensor]:
    """Weight (K, D) and bias (K,) on raw features; the fit is one to `basis` x (raw - center)."""
    weight = fit[:-1].T @ basis
    return weight, fit[-1] - weight @ center
