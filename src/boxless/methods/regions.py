"""Feature maps on weighted regions (stage 1 of the paper), or on regions that NMS keeps."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, cast

from pydantic import Field

from boxless.methods.section import (
    Count,
    Excerpt,
    NonNegative,
    NonNegativeInt,
    Positive,
    Section,
)
from boxless.methods.teaching import Teaching
from boxless.methods.transfer import Needs, Term, Transfer, sum_of

if TYPE_CHECKING:
    from torch import Tensor

    from boxless.losses.region_transfer import Adapter
    from boxless.losses.ridge_start import RidgeStart
    from boxless.methods.lessons import Lessons
    from boxless.methods.transfer import Loss, View
    from boxless.models.protocols import Student
    from boxless.training.batches import Batch


class ObjectnessSettings(Section):
    """s': how much a region counts in stage 1 (method: one number per box, from the teacher)."""

    aggregate: Literal["sum_topk", "sum_all", "max", "edge_boxes", "uniform"] = Field(
        "sum_topk", description="over the classes' region scores; edge_boxes = proposer's score"
    )
    top_classes: Count = Field(10, description="classes summed by sum_topk, best p^T first")
    normalize: Literal["max", "sum", "l2", "none"] = Field("max", description="over the regions")
    whole_image: NonNegative = Field(
        0.0,
        description="weight of the whole image relative to all other regions together;"
        " needs teacher.whole_image; 0 = as any region",
    )


class RegionSettings(Section):
    """Feature-level transfer."""

    target: Literal["conv", "fc7"] = Field(
        "conv", description="conv = feature maps (paper), fc7 = region vectors (released code)"
    )
    levels: tuple[str, ...] = Field(
        ("final",), min_length=1, description="feature maps to match, equal weight"
    )
    form: Literal["exact", "align", "max"] = Field(
        "exact", description="exact = RoIAlign in closed form; align and max pool every region"
    )
    bins: Count = Field(7, description="bins per side of a pooled region")
    regions: Count = Field(500, description="regions used per image, best proposals first")
    nms_iou: Positive = Field(0.4, description="IoU of the selection by NMS (regions-nms)")
    nms_keep: Count = Field(50, description="regions kept by NMS (regions-nms)")
    adapter: Literal["auto", "identity", "conv1x1"] = Field(
        "auto", description="Psi: identity where channels agree, else a discarded 1x1 convolution"
    )
    adapter_start: Literal["random", "ridge"] = Field(
        "random",
        description="ridge: Psi starts as the closed-form fit of the student's regions to the"
        " teacher's, so that features keep their scale; needs adapter = 'conv1x1'",
    )
    adapter_ridge: Positive = Field(
        0.3, description="penalty of that fit, relative to the mean variance of a channel"
    )
    channel_scale: Literal["none", "std"] = Field(
        "none", description="std: divide each channel by the teacher's spread, so losses are O(1)"
    )
    components: NonNegativeInt = Field(
        0,
        description="principal directions of the channels of kept maps that are compared, which"
        " makes Psi and updates cheaper; 0 = all channels; needs adapter = 'conv1x1'",
    )
    match_statistics: bool = Field(
        False,
        description="start with the last convolution rescaled to the teacher's mean and deviation"
        " per channel; needs fold_norms for teacher and student",
    )
    teacher_maps: Literal["cache", "online"] = Field(
        "cache", description="compute the teacher's maps once, or in every update"
    )
    objectness: ObjectnessSettings = ObjectnessSettings()

    @property
    def along(self) -> bool:
        """Whether the teacher's maps are computed in every update."""
        return self.teacher_maps == "online"

    def shared(self, own_levels: tuple[str, ...], *names: str) -> Excerpt:
        """What a transfer of whole maps reads of this section: the levels unless it has its own."""
        levels = () if own_levels else ("levels",)
        return self.only("teacher_maps", *levels, *names)


@dataclass(frozen=True)
class Regions(Transfer):
    """The teacher's maps (or region vectors) on regions, weighted by s'."""

    name: ClassVar[str] = "regions"
    stage1: RegionSettings
    teaching: Teaching

    @property
    def needs(self) -> Needs:
        """Region weights, and maps unless region vectors are compared."""
        config = self.stage1
        vectors = config.target == "fc7"
        return Needs(
            regions=config.regions,
            levels=() if vectors else config.levels,
            along=config.along or vectors,
            statistics=config.match_statistics,
        )

    def build(self, student: "Student", lessons: "Lessons") -> Term:
        """The region loss summed over levels."""
        if self.stage1.target == "fc7":
            from boxless.methods.region_vectors import vector_term

            return vector_term(student, lessons)
        terms = _RegionLoss(self.stage1, student, lessons, self.weights(lessons))
        return Term(
            terms.loss,
            levels=self.stage1.levels,
            module=terms.adapters,
            gather=terms.gather,
            ridge=self.stage1.adapter_ridge if self.stage1.adapter_start == "ridge" else None,
        )

    def weights(self, lessons: "Lessons") -> "Weights":
        """Where the weights of a view's regions come from."""
        return lambda view: view.lessons.region_weights(view.batch)


@dataclass(frozen=True)
class RegionsByNms(Regions):
    """The same on a hard selection: regions that NMS on s' keeps, all of weight 1."""

    name: ClassVar[str] = "regions-nms"

    def weights(self, lessons: "Lessons") -> "Weights":
        """Selected once for the training images, and per batch for any others."""
        from boxless.losses.objectness import select_by_nms

        iou, keep = self.stage1.nms_iou, self.stage1.nms_keep
        table = lessons.selected(iou=iou, keep=keep)

        def chosen(view: "View") -> "Tensor":
            batch, source = view.batch, view.lessons
            if source.kept is not None:
                return table[batch.index, : batch.boxes.shape[1]].to(batch.pixels.device)
            found = source.region_weights(batch)
            return select_by_nms(batch.boxes, found, batch.mask, iou=iou, keep=keep)

        return chosen


@dataclass(frozen=True)
class WholeMaps(Transfer):
    """Base of transfers of whole maps, of levels of their own or of the regions'.

    The section of such a transfer has its name.
    """

    stage1: RegionSettings

    @property
    def own_levels(self) -> tuple[str, ...]:
        """Those that its section names."""
        levels: tuple[str, ...] = getattr(self, self.name).levels
        return levels

    @property
    def levels(self) -> tuple[str, ...]:
        """Its own, or those of the regions."""
        return self.own_levels or self.stage1.levels


class _RegionLoss:
    """The region loss of one student; see `boxless.losses.region_transfer`."""

    def __init__(
        self,
        config: RegionSettings,
        student: "Student",
        lessons: "Lessons",
        weights: "Weights",
    ) -> None:
        self.config, self.student, self.weights = config, student, weights
        levels = config.levels
        self.spreads = lessons.spreads(levels, config.channel_scale)
        directions = lessons.directions(levels, config.components, self.spreads)
        self.adapters = lessons.adapters(student, levels, config.adapter, directions)
        images = len(lessons.images or ())
        self.energies = {level: _Energies(images) for level in levels}

    def loss(self, view: "View") -> "Loss":
        """Summed over levels."""
        from boxless.training.clock import timed

        teacher = view.lessons.maps_of(view.batch, self.config.levels)
        weights, mask = self.weights(view), view.batch.mask
        with timed("region loss"):
            parts = {
                level: self._level_loss(view, level, teacher[level], weights)
                for level in self.config.levels
            }
        spread = weights.square().sum() / mask.sum().clamp(min=1)
        return sum_of(parts), {**parts, "weight": spread}

    def _level_loss(
        self, view: "View", level: str, teacher: "Tensor", weights: "Tensor"
    ) -> "Tensor":
        from boxless.losses.region_operators import build_region_form, compared
        from boxless.losses.region_transfer import form_loss, region_loss, region_weights

        batch, bins, channels = view.batch, self.config.bins, self._channels(level, teacher)
        student = self.adapters[level](view.maps[level]).float()
        if channels is not None and channels.ndim == 1:
            student = compared(student, channels)
        boxes = (batch.boxes, view.lessons.boxes(batch))
        if self.config.form == "exact":
            size = (int(student.shape[-2]), int(student.shape[-1]))
            energies, kept = self.energies[level], view.lessons.maps is not None
            known = energies.of(batch) if kept else None
            form = build_region_form(
                teacher,
                size,
                *boxes,
                region_weights(weights, batch.mask),
                bins=bins,
                channels=channels,
                constant=known,
            )
            if kept and known is None:
                energies.keep(batch.index, form.constant)
            return form_loss(student, form, batch.mask)
        return region_loss(
            student,
            compared(teacher.float(), channels),
            *boxes,
            weights,
            batch.mask,
            bins=bins,
            form=self.config.form,
            student_size=self.student.input_size,
            teacher_size=view.lessons.size,
        )

    def _channels(self, level: str, teacher: "Tensor") -> "Tensor | None":
        """What is compared of the teacher's channels; see `boxless.losses.region_operators`."""
        from boxless.losses.region_transfer import inverse_scale

        directions, spread = self._directions(level), self.spreads.get(level)
        if directions is not None or spread is None:
            return directions
        return inverse_scale(spread, teacher).flatten()

    def gather(self, view: "View", fits: "dict[str, RidgeStart]") -> None:
        """Every bin of every region is a row, weighted as in the loss."""
        batch, teacher = view.batch, view.lessons.maps_of(view.batch, self.config.levels)
        weights = self.weights(view).masked_fill(~batch.mask, 0).square()
        weights = weights / batch.mask.sum(1, keepdim=True).clamp(min=1)
        boxes = (batch.boxes, view.lessons.boxes(batch))
        for level, fit in fits.items():
            fit.add(
                view.maps[level],
                teacher[level],
                *boxes,
                weights,
                bins=self.config.bins,
                channels=self._directions(level),
            )

    def _directions(self, level: str) -> "Tensor | None":
        """Those that are compared, (C, D), where not all channels are; they lie beside Psi."""
        return cast("Adapter", self.adapters[level]).directions


class _Energies:
    """c of images whose maps are kept, by row: it is the same in all views of an image."""

    def __init__(self, images: int) -> None:
        import torch

        self._known, self._values = torch.zeros(images, dtype=torch.bool), torch.zeros(images)

    def of(self, batch: "Batch") -> "Tensor | None":
        """(N,) values, if those of all images of a batch are known."""
        from boxless.training.batches import brought

        if not bool(self._known[batch.index].all()):
            return None
        return brought(self._values[batch.index], batch.pixels.device)

    def keep(self, index: "Tensor", values: "Tensor") -> None:
        """Remember the values (N,) of some images."""
        self._values[index] = values.detach().cpu()
        self._known[index] = True


if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    Weights: TypeAlias = Callable[[View], Tensor]
