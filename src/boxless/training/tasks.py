"""What each step of a run trains: the teacher, the student on tags, the student on regions."""

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from boxless.losses.region_pooling import floor_boxes, pool_regions, score_weights
from boxless.losses.region_transfer import Adapter, Form, inverse_scale, region_loss, vector_loss
from boxless.losses.ridge_start import RidgeStart
from boxless.losses.tag_loss import detector_loss, tag_loss
from boxless.models.backbone import Backbone, displacements, freeze_norm_statistics, train_mode
from boxless.models.classifier import Classifier
from boxless.models.detector import Detector, DetectorHead, DetectorOutput
from boxless.models.pixels import resize_aligned
from boxless.training.batches import Batch
from boxless.training.clock import timed
from boxless.training.feature_task import FeatureTask
from boxless.training.map_store import MapStore

MapsOf = Callable[[Batch, tuple[str, ...]], dict[str, Tensor]]
"""Teacher maps of a batch by level, each (N, C, H, W)."""

TargetsOf = Callable[[Batch], Tensor]
"""p'^T of a batch, (N, K)."""


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
        return folds[rows.cpu()] != head - 1

    def _outputs(self, batch: Batch, heads: tuple[int, ...]) -> list[DetectorOutput]:
        detector = self.detector
        if self.maps is None:
            pixels = batch.pixels.float()
            return detector(pixels, batch.boxes, batch.scores, batch.mask, heads)  # type: ignore[no-any-return]
        level = self.maps.batch(batch, (detector.level,))[detector.level]
        pooled = detector.pooled(
            level,
            batch.whole_boxes,
            batch.scores,
            view_size=self.map_size,
            flipped=batch.mirrored,
        )
        return detector.describe(pooled, batch.mask, heads)


class ClassifierTask:
    """Train the student on tags, and on the teacher's predictions if there are any.

    Args:
        classifier: The student.
        train_norm_statistics: Let BatchNorm update its statistics.
        soft: L_p' of logits and targets (`SoftLoss` or `HintonLoss`), or None for the baseline.
        soft_weight: lambda.
        targets: (M, K), p'^T of the training images, or what computes it for a batch.
    """

    def __init__(
        self,
        classifier: Classifier,
        *,
        train_norm_statistics: bool,
        soft: nn.Module | None = None,
        soft_weight: float = 0.0,
        targets: Tensor | TargetsOf | None = None,
    ) -> None:
        self.classifier, self.soft = classifier, soft
        self.soft_weight, self.targets = soft_weight, targets
        self.train_statistics = train_norm_statistics
        parts: dict[str, nn.Module] = {"classifier": classifier}
        if soft is not None:
            parts["soft"] = soft
        self.module: nn.Module = nn.ModuleDict(parts)

    def is_new(self, name: str) -> bool:
        """The last layer, and learned temperatures."""
        return name.startswith(("classifier.fc.", "soft."))

    def train_mode(self) -> None:
        """Dropout on; BatchNorm statistics as asked."""
        train_mode(self.module, statistics=self.train_statistics)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """L_p + lambda L_p'."""
        logits = self.classifier(batch.pixels.float()).float()
        tags = tag_loss(logits, batch.labels)
        if self.soft is None or self.targets is None:
            return {"loss": tags, "tags": tags}
        if isinstance(self.targets, Tensor):
            targets = self.targets[batch.index.cpu()].to(logits.device)
        else:
            with timed("teacher"):
                targets = self.targets(batch)
        with timed("distillation loss"):
            soft = self.soft(logits, targets)
        return {"loss": tags + self.soft_weight * soft, "tags": tags, "soft": soft}


class RegionTask(FeatureTask):
    """Stage 1: train the student's backbone to agree with the teacher's maps on regions.

    Args:
        backbone: The student's.
        adapters: Psi by level.
        maps_of: Teacher maps of a batch.
        objectness: (M, R), s'.
        levels: Levels to match.
        bins: Bins per side.
        form: exact, align or max.
        spreads: Channel spread by level, or empty.
        student_size: Input side of the student; larger views are resized in the network.
        teacher_size: Input side of the teacher.
        teacher_backbone: Knows how its maps are displaced.
        flipped_maps: Teacher maps are kept ones of the whole image, flipped for mirrored views;
            False: they are computed from the student's very view.
        train_norm_statistics: Let BatchNorm update its statistics.
    """

    def __init__(  # noqa: PLR0913  (what a region loss needs; all by keyword)
        self,
        backbone: Backbone,
        adapters: dict[str, Adapter],
        maps_of: MapsOf,
        objectness: Tensor,
        *,
        bins: int,
        form: Form,
        spreads: dict[str, Tensor],
        student_size: int,
        teacher_size: int,
        teacher_backbone: Backbone,
        flipped_maps: bool,
        train_norm_statistics: bool,
    ) -> None:
        super().__init__(
            backbone,
            adapters,
            spreads=spreads,
            student_size=student_size,
            train_norm_statistics=train_norm_statistics,
        )
        self.teacher_size, self.teacher_backbone = teacher_size, teacher_backbone
        self.flipped_maps = flipped_maps
        self.maps_of, self.objectness, self.bins, self.form = maps_of, objectness, bins, form

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Region loss summed over levels, with the objectness of the training images."""
        return self.weighted_losses(batch, self._weights(batch))

    def weighted_losses(self, batch: Batch, weights: Tensor) -> dict[str, Tensor]:
        """Region loss of any images, whose s' (N, R) is given."""
        student, teacher = self._maps(batch)
        with timed("region loss"):
            parts = {
                level: self._level_loss(batch, level, student[level], teacher[level], weights)
                for level in self.levels
            }
        spread = weights.square().sum() / batch.mask.sum().clamp(min=1)
        return {"loss": torch.stack(list(parts.values())).sum(), **parts, "weight": spread}

    def _level_loss(
        self, batch: Batch, level: str, student: Tensor, teacher: Tensor, weights: Tensor
    ) -> Tensor:
        factor = inverse_scale(self.spreads.get(level), teacher)
        return region_loss(
            self.adapters[level](student).float() * factor,
            teacher.float() * factor,
            *self._boxes(batch, level),
            weights,
            batch.mask,
            bins=self.bins,
            form=self.form,
            student_size=self.student_size,
            teacher_size=self.teacher_size,
        )

    def gather(self, batch: Batch, fits: dict[str, RidgeStart]) -> None:
        """Every bin of every region is a row, weighted as in the loss."""
        student, teacher = self._maps(batch)
        weights = self._weights(batch).masked_fill(~batch.mask, 0).square()
        weights = weights / batch.mask.sum(1, keepdim=True).clamp(min=1)
        for level, fit in fits.items():
            boxes = self._boxes(batch, level)
            fit.add(student[level], teacher[level], *boxes, weights, bins=self.bins)

    def _maps(self, batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Student's maps before Psi, and the teacher's."""
        with timed("teacher"):
            theirs = self.maps_of(batch, self.levels)
        return self.student_maps(batch), theirs

    def _boxes(self, batch: Batch, level: str) -> tuple[Tensor, Tensor]:
        """Regions in the student's and in the teacher's map, moved as their cells are."""
        rows, whole = len(batch.boxes), self.flipped_maps
        teacher, flipped = (batch.whole_boxes, batch.mirrored) if whole else (batch.boxes, None)
        return (
            batch.boxes - displacements(self.backbone, level, self.student_size, None, rows),
            teacher - displacements(self.teacher_backbone, level, self.teacher_size, flipped, rows),
        )

    def _weights(self, batch: Batch) -> Tensor:
        """Weights s' of the batch's regions, (N, R)."""
        rows = self.objectness[batch.index.cpu(), : batch.boxes.shape[1]]
        return rows.to(batch.pixels.device)


class VectorTask:
    """Stage 1 of the released code: region vectors (fc7) of teacher and student agree.

    Args:
        student: With an ``fc6_fc7`` head, which is trained too.
        detector: The teacher, with an ``fc6_fc7`` head.
        student_size: Input side of the student.
        train_norm_statistics: Let BatchNorm update its statistics.
        teacher_dropout: Leave the teacher's dropout on, as the released code does.
    """

    def __init__(
        self,
        student: Classifier,
        detector: Detector,
        *,
        student_size: int,
        train_norm_statistics: bool,
        teacher_dropout: bool = False,
    ) -> None:
        self.student, self.detector, self.student_size = student, detector, student_size
        self.teacher_dropout = teacher_dropout
        self.train_statistics = train_norm_statistics
        self.module: nn.Module = nn.ModuleDict({"backbone": student.backbone, "neck": student.neck})

    def is_new(self, name: str) -> bool:
        """Nothing is: convolutions, fc6 and fc7 are pretrained."""
        return name == ""

    def train_mode(self) -> None:
        """Student with dropout, teacher without unless its noise is asked for."""
        self.module.train()
        self.detector.eval()
        self.detector.heads.train(self.teacher_dropout)
        if not self.train_statistics:
            freeze_norm_statistics(self.module)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Squared distance of region vectors; boxes are whole pixels, as in the released code."""
        detector, level = self.detector, self.detector.level
        pixels, side = batch.pixels.float(), int(batch.pixels.shape[-1])
        whole = floor_boxes(batch.boxes, view_size=side, size=side)
        with torch.no_grad():
            maps = detector.backbone(detector.backbone.normalize(pixels), (level,))[level]
            pooled = detector.pooled(maps, whole, batch.scores, view_size=side)
            target = cast("DetectorHead", detector.heads[0]).vectors(pooled)
        small = resize_aligned(pixels, self.student_size)
        features = self.student.backbone(self.student.backbone.normalize(small), (level,))[level]
        size, count = self.student_size, len(batch.boxes)
        small_boxes = floor_boxes(whole, view_size=side, size=size)
        moved = small_boxes - displacements(self.student.backbone, level, size, None, count)
        regions = pool_regions(
            features, moved, bins=detector.bins, pooling=detector.pooling, view_size=size
        )
        weights = score_weights(
            batch.scores, scale=detector.score_scale, bias=detector.score_bias
        ).view(-1, 1, 1, 1)  # as the teacher's, on both sides (method 4.2)
        vectors = self.student.neck(regions * weights).view(*batch.mask.shape, -1)
        return {"loss": vector_loss(vectors, target, batch.mask)}
