"""Where stage 2 begins: a last layer that repeats the teacher, as well as the features allow."""

from collections.abc import Iterable
from typing import Final

import torch
from torch import Tensor

from boxless.losses.ridge_start import RidgeStart
from boxless.models.classifier import Classifier
from boxless.training.batches import Batch

RIDGE: Final = 0.1
"""Penalty relative to the mean variance of the student's features."""
LEAST: Final = 1e-3
"""Probabilities nearer to 0 and 1 count as this: an outlier must not rule the fit."""


@torch.no_grad()
def start_head(student: Classifier, batches: Iterable[Batch], probabilities: Tensor) -> None:
    """Fit the last layer to the teacher's logits of the training images, in closed form.

    The idea is that of SimKD, which keeps the teacher's classifier behind a projector (Chen et al.,
    "Knowledge Distillation with the Reused Teacher Classifier", CVPR 2022); projector and
    classifier are both linear here, so they are one layer, and no bigger network is shipped. It
    serves any teacher, since it is fitted to what that says and not read off its weights.

    Args:
        student: Its last layer is changed.
        batches: Every image once, whole, on the student's device.
        probabilities: (M, K), what the teacher says of them, by `Batch.index`.
    """
    layer = student.fc
    logits = probabilities.clamp(LEAST, 1 - LEAST).logit()
    equations = RidgeStart(layer.in_features, layer.out_features)
    student.eval()
    for batch in batches:
        maps = student.final_maps(student.backbone.normalize(batch.pixels.float()))
        vectors = student.vectors(maps).float()[..., None, None]
        targets = logits[batch.index].to(vectors)[..., None, None]
        equations.add_cells(vectors, targets)
    weight, bias = equations.solve(RIDGE)
    layer.weight.copy_(weight)
    layer.bias.copy_(bias)
