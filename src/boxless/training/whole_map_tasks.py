"""What the compared methods train on whole feature maps: FitNets' hint and attention transfer."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from boxless.losses.attention import AttentionForm, attention_loss
from boxless.losses.hint import hint_loss
from boxless.losses.region_transfer import Adapter, inverse_scale
from boxless.losses.ridge_start import RidgeStart
from boxless.losses.tag_loss import tag_loss
from boxless.losses.view_pooling import pool_view
from boxless.models.backbone import Backbone, displacements, train_mode
from boxless.models.classifier import Classifier
from boxless.models.pixels import resize_aligned
from boxless.training.batches import Batch
from boxless.training.feature_task import FeatureTask
from boxless.training.tasks import MapsOf


@dataclass(frozen=True, slots=True)
class TeacherMaps:
    """The teacher's maps, brought to the cells of a student's map.

    Attributes:
        maps_of: Teacher maps of a batch.
        backbone: The teacher's; knows how its maps are displaced.
        size: Input side of the teacher.
        flipped: Maps are kept ones of the whole image, flipped for mirrored views; False: they are
            computed from the student's very view.
    """

    maps_of: MapsOf
    backbone: Backbone
    size: int
    flipped: bool

    @torch.no_grad()
    def on_cells(
        self, batch: Batch, student: dict[str, Tensor], backbone: Backbone, size: int
    ) -> dict[str, Tensor]:
        """Teacher maps (N, C_T, h, w) that look where the student's cells look.

        Args:
            batch: The views.
            student: The student's maps (N, C_S, h, w) by level.
            backbone: The student's.
            size: Input side of the student.
        """
        found = self.maps_of(batch, tuple(student))
        pooled = {}
        for level, maps in student.items():
            views = self._views(batch, level, backbone, size)
            cells = (int(maps.shape[-2]), int(maps.shape[-1]))
            pooled[level] = pool_view(found[level].float(), views, cells)
        return pooled

    def _views(self, batch: Batch, level: str, backbone: Backbone, size: int) -> Tensor:
        """Unit box (N, 4) of the student's map in the teacher's, both displaced."""
        whole = torch.tensor([0.0, 0.0, 1.0, 1.0], device=batch.windows.device)
        windows = batch.windows if self.flipped else whole.expand(len(batch.windows), 4)
        extent = (windows[:, 2:] - windows[:, :2]).repeat(1, 2)
        rows = len(windows)
        ours = displacements(backbone, level, size, None, rows)[:, 0]
        flipped = batch.mirrored if self.flipped else None
        theirs = displacements(self.backbone, level, self.size, flipped, rows)[:, 0]
        return windows + extent * ours - theirs


class HintTask(FeatureTask):
    """FitNets' first phase: train the student's backbone to agree with the teacher's whole maps.

    Args:
        backbone: The student's.
        adapters: The regressor by level.
        teacher: The teacher's maps.
        spreads: Channel spread by level, or empty.
        student_size: Input side of the student; larger views are resized in the network.
        train_norm_statistics: Let BatchNorm update its statistics.
    """

    def __init__(
        self,
        backbone: Backbone,
        adapters: dict[str, Adapter],
        teacher: TeacherMaps,
        *,
        spreads: dict[str, Tensor],
        student_size: int,
        train_norm_statistics: bool,
    ) -> None:
        super().__init__(
            backbone,
            adapters,
            spreads=spreads,
            student_size=student_size,
            train_norm_statistics=train_norm_statistics,
        )
        self.teacher = teacher

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Hint loss summed over levels."""
        student, teacher = self._maps(batch)
        parts = {}
        for level in self.levels:
            factor = inverse_scale(self.spreads.get(level), teacher[level])
            adapted = self.adapters[level](student[level]).float()
            parts[level] = hint_loss(adapted * factor, teacher[level] * factor)
        return {"loss": torch.stack(list(parts.values())).sum(), **parts}

    def gather(self, batch: Batch, fits: dict[str, RidgeStart]) -> None:
        """Every cell of the student's map is a row; all weigh the same."""
        student, teacher = self._maps(batch)
        for level, fit in fits.items():
            fit.add_cells(student[level], teacher[level])

    def _maps(self, batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Student's maps before the regressor, and the teacher's on their cells."""
        student = self.student_maps(batch)
        return student, self.teacher.on_cells(batch, student, self.backbone, self.student_size)


class AttentionTask:
    """Attention transfer: tags, and where the teacher's maps are strong, in one phase.

    Args:
        classifier: The student.
        teacher: The teacher's maps.
        levels: Levels to match.
        beta: Weight of the attention loss.
        form: Which attention loss.
        student_size: Input side of the student; larger views are resized in the network.
        train_norm_statistics: Let BatchNorm update its statistics.
    """

    def __init__(
        self,
        classifier: Classifier,
        teacher: TeacherMaps,
        *,
        levels: tuple[str, ...],
        beta: float,
        form: AttentionForm,
        student_size: int,
        train_norm_statistics: bool,
    ) -> None:
        self.classifier, self.teacher, self.levels = classifier, teacher, levels
        self.beta, self.form, self.student_size = beta, form, student_size
        self.train_statistics = train_norm_statistics
        self.module: nn.Module = nn.ModuleDict({"classifier": classifier})

    def is_new(self, name: str) -> bool:
        """The last layer."""
        return name.startswith("classifier.fc.")

    def train_mode(self) -> None:
        """Dropout on; BatchNorm statistics as asked."""
        train_mode(self.module, statistics=self.train_statistics)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """L_p plus the attention losses of all levels."""
        backbone = self.classifier.backbone
        pixels = resize_aligned(batch.pixels.float(), self.student_size)
        maps = backbone(backbone.normalize(pixels), tuple(dict.fromkeys((*self.levels, "final"))))
        tags = tag_loss(self.classifier.classify(maps["final"]).float(), batch.labels)
        student = {level: maps[level].float() for level in self.levels}
        teacher = self.teacher.on_cells(batch, student, backbone, self.student_size)
        parts = {
            level: attention_loss(student[level], teacher[level], beta=self.beta, form=self.form)
            for level in self.levels
        }
        attention = torch.stack(list(parts.values())).sum()
        return {"loss": tags + attention, "tags": tags, **parts}
