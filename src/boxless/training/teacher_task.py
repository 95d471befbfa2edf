"""What the teacher's step trains: the detector on tags."""

from typing import cast

import torch
from torch import Tensor, nn

from boxless.losses.tag_loss import detector_loss
from boxless.models.backbone import freeze_norm_statistics
from boxless.models.detector import Detector, DetectorHead, DetectorOutput
from boxless.training.batches import Batch
from boxless.training.map_store import MapStore


class TeacherTask:
    """Train the detector on tags.

    Args:
        detector: The teacher.
        frozen_backbone: Train the heads alone.
        folds: (M,) fold of each training image; head 1 + f never trains on fold f.
        train_norm_statistics: Let BatchNorm update its statistics.
        maps: Maps of the frozen backbone, computed before; None = run the backbone.
        map_size: Input side of those maps in pixels.
    """

    def __init__(
        self,
        detector: Detector,
        *,
        frozen_backbone: bool,
        folds: Tensor | None,
        train_norm_statistics: bool,
        maps: MapStore | None = None,
        map_size: int = 0,
    ) -> None:
        self.detector, self.folds = detector, folds
        self.maps, self.map_size = maps, map_size
        self.frozen_backbone, self.train_statistics = frozen_backbone, train_norm_statistics
        detector.backbone.requires_grad_(not frozen_backbone)
        self.module: nn.Module = detector.heads if frozen_backbone else detector

    def is_new(self, name: str) -> bool:
        """The two score layers are new, and the whole head unless it starts from VGG's fc6, fc7."""
        pretrained = cast("DetectorHead", self.detector.heads[0]).pretrained
        return "_scores" in name or (not pretrained and not name.startswith("backbone."))

    def train_mode(self) -> None:
        """Heads with dropout; the backbone too unless it is frozen."""
        self.detector.train()
        if self.frozen_backbone:
            self.detector.backbone.eval()
        elif not self.train_statistics:
            freeze_norm_statistics(self.detector.backbone)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Tag loss of every head, each on the images it may see."""
        heads = tuple(range(len(self.detector.heads)))
        outputs = self._outputs(batch, heads)
        parts = []
        for head, output in enumerate(outputs):
            probabilities = output.image_probabilities().float()
            if head == 0 or self.folds is None:
                parts.append(detector_loss(probabilities, batch.labels))
                continue
            include = self._seen(self.folds, head, batch.index).to(probabilities.device)
            # Of all processes: a mean over the images that this head sees of the whole batch.
            images = batch.share * int(self._seen(self.folds, head, batch.everyone).sum())
            parts.append(detector_loss(probabilities, batch.labels, include, images=images))
        return {"loss": torch.stack(parts).sum(), "tags": parts[0]}

    @staticmethod
    def _seen(folds: Tensor, head: int, rows: Tensor) -> Tensor:
        """(N,) bool: images that a head of a fold may train on."""
        return folds[rows] != head - 1

    def _outputs(self, batch: Batch, heads: tuple[int, ...]) -> list[DetectorOutput]:
        detector = self.detector
        if self.maps is None:
            pixels = batch.pixels.float()
            return detector(pixels, batch.boxes, batch.scores, batch.mask, heads)  # type: ignore[no-any-return]
        level = self.maps.batch(batch, (detector.level,))[detector.level]
        pooled = detector.pooled(level, batch.whole_boxes, batch.scores, view_size=self.map_size)
        return detector.describe(pooled, batch.mask, heads)
