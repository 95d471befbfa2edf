"""The loss on tags that a recipe asks for, with what it keeps from one update to the next.

Passes over the tagged images are counted by the images themselves, in a buffer that checkpoints
carry: so the share of rejected tags grows alike for any batch size, and after a resume.
"""

import torch
from torch import Tensor, nn

from boxless.losses.asymmetric import AsymmetricLoss
from boxless.losses.class_weights import balanced_weights
from boxless.losses.entropy import EntropyMaximizationLoss
from boxless.losses.large_loss import LargeLoss
from boxless.losses.tag_loss import TagLoss, mean_over_images
from boxless.methods.tags import LARGE, TagSettings
from boxless.training.batches import Batch

NONE = -1.0
"""What stands for no prediction and no pseudo-label; finite, for it lies in checkpoints."""


class TagLossState(nn.Module):
    """A loss on tags.

    Args:
        settings: Which.
        labels: (M, K) tags of the tagged training images, in the order of `Batch.index`; None where
            nothing is to be counted (cross-entropy without class weights).

    Attributes:
        counts: Whether it counts passes, so that there is something for checkpoints to carry.
    """

    seen: Tensor
    begun: Tensor
    latest: Tensor
    pseudo: Tensor

    def __init__(self, settings: TagSettings, labels: Tensor | None = None) -> None:
        super().__init__()
        self.settings, self.labels = settings, labels
        self.counts = settings.loss in (*LARGE, "em")
        self.weights: tuple[Tensor, Tensor] | None = None
        if settings.class_weights == "balanced":
            self.weights = balanced_weights(self._labels)
        if self.counts:
            self.register_buffer("seen", torch.zeros((), dtype=torch.int64))
        if settings.loss == "em":
            self.register_buffer("begun", torch.zeros((), dtype=torch.int64))
            for name in ("latest", "pseudo"):
                self.register_buffer(name, torch.full(self._labels.shape, NONE))

    @property
    def _labels(self) -> Tensor:
        assert self.labels is not None, "a loss that counts tags must be given them"
        return self.labels

    def forward(
        self, logits: Tensor, batch: Batch, weights: Tensor | None, images: float | None
    ) -> Tensor:
        """Loss of a batch.

        Args:
            logits: (N, K).
            batch: Its labels, and which images they are.
            weights: (N, K) by which each tag counts; None = all alike.
            images: What the sum is divided by; None = N.
        """
        labels = batch.labels
        if self.weights is not None:
            present, absent = (each.to(logits) for each in self.weights)
            own = torch.where(labels == 1, present, absent)
            weights = own if weights is None else own * weights
        value = mean_over_images(self._terms(logits, batch), labels, weights, images=images)
        if self.counts and self.training:
            self.seen += int((batch.everyone < len(self._labels)).sum())
        return value

    def _terms(self, logits: Tensor, batch: Batch) -> Tensor:
        """Loss (N, K) of every tag, not weighted."""
        config, labels = self.settings, batch.labels
        if config.loss == "asl":
            asymmetric = AsymmetricLoss(
                focus_present=config.focus_present,
                focus_absent=config.focus_absent,
                margin=config.margin,
            )
            return asymmetric.terms(logits, labels)
        if config.loss in LARGE:
            rate = min(1.0, config.growth * self.passes)
            kind = LargeLoss("correct" if config.loss == "ll-ct" else "reject")
            return kind.terms(logits, labels, rate)
        if config.loss == "em":
            return self._entropy_terms(logits, batch)
        return TagLoss().terms(logits, labels)

    @property
    def passes(self) -> int:
        """Whole passes over the tagged images that are done."""
        return int(self.seen) // len(self._labels)

    def _entropy_terms(self, logits: Tensor, batch: Batch) -> Tensor:
        loss = EntropyMaximizationLoss(self.settings.entropy, self.settings.pseudo)
        if self.training and self.passes > int(self.begun):
            self.begun.fill_(self.passes)
            if self.passes >= self.settings.warmup:
                self._assign()
        tagged = batch.index < len(self.latest)
        rows = batch.index[tagged]
        pseudo = torch.full_like(logits, NONE)
        pseudo[tagged] = self.pseudo[rows].to(logits)
        if self.training:
            self.latest[rows] = logits[tagged].detach().sigmoid().to(self.latest)
        return loss.terms(logits, batch.labels, pseudo)

    def _assign(self) -> None:
        """Make the least likely absent tags of each class pseudo-labels, as likely as they are."""
        config = self.settings
        absent = self._labels.to(self.latest.device) == 0
        total = (config.pseudo_share * absent.sum(0)).long()
        left = total - (self.pseudo >= 0).sum(0)
        count = torch.minimum(left, (total / config.pseudo_passes).ceil().long())
        free = absent & (self.pseudo < 0) & (self.latest >= 0)
        order = self.latest.masked_fill(~free, torch.inf).argsort(0).argsort(0)  # rank in its class
        chosen = free & (order < count)
        self.pseudo.copy_(torch.where(chosen, self.latest, self.pseudo))
