"""Losses of distillation for any PyTorch training loop: they take tensors, never a batch or recipe.

| loss | of | towards |
| --- | --- | --- |
| `RegionTransferLoss` | feature maps, on weighted regions | the teacher's map |
| `HintLoss` | feature maps, cell by cell | the teacher's map |
| `AttentionTransferLoss` | where feature maps are strong | the teacher's map |
| `SigmoidDistillationLoss` | logits | the teacher's probabilities, softened |
| `ClassAwareLoss` | logits | a detector's probabilities, sharpened |
| `TagLoss` | logits | tags |
| `AsymmetricLoss`, `LargeLoss`, `EntropyMaximizationLoss` | logits | tags, some of them missing |

Beside them: `BoostLU` boosts class maps before they are pooled, `balanced_weights` and
`trusted_weights` weigh tags, `detector_loss` trains the detector on tags, `objectness` makes the
weights s' of the regions from its scores, and `select_by_nms` keeps the best of them.
"""

from boxless.errors import MissingExtraError

try:
    import torch as _torch  # noqa: F401
except ModuleNotFoundError as error:  # a torch that is there and broken says so itself
    raise MissingExtraError("torch", "train") from error

from boxless.losses.asymmetric import AsymmetricLoss
from boxless.losses.attention import AttentionTransferLoss
from boxless.losses.boost import BoostLU
from boxless.losses.class_weights import balanced_weights, trusted_weights
from boxless.losses.entropy import EntropyMaximizationLoss
from boxless.losses.hint import HintLoss
from boxless.losses.hinton import SigmoidDistillationLoss
from boxless.losses.large_loss import LargeLoss
from boxless.losses.objectness import objectness, select_by_nms
from boxless.losses.prediction_transfer import ClassAwareLoss
from boxless.losses.regions import RegionTransferLoss
from boxless.losses.tag_loss import TagLoss, detector_loss

__all__ = [
    "AsymmetricLoss",
    "AttentionTransferLoss",
    "BoostLU",
    "ClassAwareLoss",
    "EntropyMaximizationLoss",
    "HintLoss",
    "LargeLoss",
    "RegionTransferLoss",
    "SigmoidDistillationLoss",
    "TagLoss",
    "balanced_weights",
    "detector_loss",
    "objectness",
    "select_by_nms",
    "trusted_weights",
]
