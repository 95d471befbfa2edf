"""What a teacher says of the images of a batch: kept beforehand, or asked of it along."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from boxless.losses.map_loss import pool_view
from boxless.losses.objectness import select_by_nms
from boxless.losses.region_transfer import Adapter
from boxless.models.protocols import Student, Teacher
from boxless.training.batches import Batch, ViewDataset, brought
from boxless.training.clock import timed
from boxless.training.map_store import LevelMaps, MapStore
from boxless.training.teacher_cache import Knowledge, TeacherCache


@dataclass(frozen=True, slots=True)
class Lessons:
    """The teacher's side of a phase.

    Attributes:
        size: Side of the teacher's input in pixels.
        knowledge: How predictions are softened and regions weighted.
        teacher: The teacher, placed; None where nothing asks it anything along.
        kept: What was kept of the training images; None: images are others, and it is asked.
        maps: Its kept maps of the whole training images; None: it is asked for a view's.
        images: The training images with the regions that the teacher scored.
        along: Whether predictions are asked for in every update, though kept.
        dropout: Whether it predicts with dropout.
        tagged: How many images have tags, the first rows; None = all have.
        labels: (M, K) tags of these images; None where no loss counts them.
    """

    size: int
    knowledge: Knowledge
    teacher: Teacher | None = None
    kept: TeacherCache | None = None
    maps: MapStore | LevelMaps | None = None
    images: ViewDataset | None = None
    along: bool = False
    dropout: bool = False
    tagged: int | None = None
    labels: Tensor | None = None

    def live(self) -> "Lessons":
        """The same for images that nothing is kept of: all is asked, without dropout."""
        return replace(self, kept=None, maps=None, dropout=False)

    def predictions(self, batch: Batch, *, softened: bool) -> Tensor:
        """Image probabilities (N, K): p'^T, or p^T where they are not to be softened."""
        if self.kept is not None and not self.along:
            table = self.kept.targets if softened else self.kept.probabilities
            return brought(table[batch.index], batch.pixels.device)
        knowledge = self.knowledge
        by_class, by_region = (
            (knowledge.class_temperature, knowledge.region_temperature) if softened else (1.0, 1.0)
        )
        with timed("teacher"), torch.no_grad():
            self._asked.noisy(on=self.dropout)
            answer = self._asked.answer(batch)
            found = answer.image_probabilities(
                class_temperature=by_class, region_temperature=by_region
            )
        return found.float()

    def region_weights(self, batch: Batch) -> Tensor:
        """Weights s' (N, R) of a batch's regions."""
        if self.kept is not None:
            rows = self.kept.objectness[batch.index, : batch.boxes.shape[1]]
            return brought(rows, batch.pixels.device)
        with torch.no_grad():
            self._asked.noisy(on=False)
            return self.knowledge.objectness(
                self._asked.answer(batch).region_scores().float(), batch
            )

    def selected(self, *, iou: float, keep: int) -> Tensor:
        """Hard selection (M, R) of the training images' regions by NMS on s': 0 or 1."""
        if self.kept is None or self.images is None:
            return torch.zeros(0, 0)
        weights = self.kept.objectness
        selected = torch.zeros_like(weights)
        for row, record in enumerate(self.images.records):
            boxes = torch.from_numpy(self.images.unit_boxes(record)[0])
            mask = torch.ones(1, len(boxes), dtype=torch.bool)
            own = weights[row, : len(boxes)]
            kept = select_by_nms(boxes[None], own[None], mask, iou=iou, keep=keep)
            selected[row, : len(boxes)] = kept[0]
        return selected

    def maps_of(self, batch: Batch, levels: tuple[str, ...]) -> dict[str, Tensor]:
        """Maps (N, C_T, H, W) by level: of the whole image if kept, else of the view."""
        with timed("teacher"):
            if self.maps is not None:
                return self.maps.batch(batch, levels)
            with torch.no_grad():
                return self._asked.maps(batch.pixels.float(), levels)

    def boxes(self, batch: Batch) -> Tensor:
        """Regions (N, R, 4) in the maps of `maps_of`."""
        return batch.boxes if self.maps is None else batch.whole_boxes

    @torch.no_grad()
    def on_cells(self, batch: Batch, student: dict[str, Tensor]) -> dict[str, Tensor]:
        """Maps (N, C_T, h, w) that look where the student's cells look.

        Args:
            batch: The views.
            student: The student's maps (N, C_S, h, w) by level.
        """
        found = self.maps_of(batch, tuple(student))
        views = batch.windows
        if self.maps is None:  # the teacher saw the view itself
            views = views.new_tensor([0.0, 0.0, 1.0, 1.0]).expand(len(views), 4)
        pooled = {}
        for level, maps in student.items():
            cells = (int(maps.shape[-2]), int(maps.shape[-1]))
            pooled[level] = pool_view(found[level].float(), views, cells)
        return pooled

    def adapters(
        self,
        student: Student,
        levels: tuple[str, ...],
        kind: str,
        directions: Mapping[str, Tensor] | None = None,
    ) -> nn.ModuleDict:
        """Psi by level, from the student's channels to the teacher's, or to directions of them."""
        given, asked = directions or {}, self._asked
        return nn.ModuleDict(
            {
                lv: Adapter(
                    student.channels(lv), asked.channels(lv), kind=kind, directions=given.get(lv)
                )
                for lv in levels
            }
        )

    def spreads(self, levels: tuple[str, ...], scale: str) -> dict[str, Tensor]:
        """Spread (C_T,) of the kept maps' channels by level; empty where they are not scaled."""
        if scale != "std" or self.maps is None:
            return {}
        return {level: self.maps.spread(level) for level in levels}

    def directions(
        self, levels: tuple[str, ...], components: int, spreads: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Principal directions (C_T, D) of the kept maps' scaled channels; empty = compare all."""
        if self.maps is None or not components:
            return {}
        wide = [level for level in levels if self._asked.channels(level) > components]
        return {lv: self.maps.directions(lv, components, spreads.get(lv)) for lv in wide}

    @property
    def _asked(self) -> Teacher:
        assert self.teacher is not None, "a transfer that asks the teacher must say so in `needs`"
        return self.teacher
