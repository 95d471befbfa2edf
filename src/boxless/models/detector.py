"""The teacher: a weakly supervised detector in the manner of WSDDN (T-WDet).

Regions are pooled from one level of a backbone, weighted by ``score_scale * score + score_bias``,
run through a head to one vector each, and scored twice: against all classes (M^c) and against all
regions (M^d). ``S = softmax_K(M^c) * softmax_R(M^d)``; a class's image probability is the sum of
its column. Bilen & Vedaldi, "Weakly Supervised Deep Detection Networks", CVPR 2016; method 2.1.
"""

from dataclasses import dataclass
from typing import Literal, cast

from torch import Tensor, nn
from torch.nn import functional

from boxless.losses.region_operators import region_means
from boxless.losses.region_pooling import Pooling, pool_regions, score_weights
from boxless.models.backbone import Backbone
from boxless.models.network import RegionTeacher, over_regions

RegionHead = Literal["pooled_linear", "fc6_fc7"]


@dataclass(frozen=True, slots=True)
class DetectorOutput:
    """Raw scores of one batch.

    Attributes:
        class_logits: (N, R, K), M^c.
        region_logits: (N, R, K), M^d.
        mask: (N, R) bool, False for padding.

    Example:
        >>> import torch
        >>> from boxless.models import DetectorOutput
        >>> logits = torch.zeros(1, 4, 2)  # four regions that look alike
        >>> output = DetectorOutput(logits, logits, torch.ones(1, 4, dtype=torch.bool))
        >>> output.region_scores()[0, 0].tolist(), output.image_probabilities()[0].tolist()
        ([0.125, 0.125], [0.5, 0.5])
    """

    class_logits: Tensor
    region_logits: Tensor
    mask: Tensor

    def region_scores(
        self, *, class_temperature: float = 1, region_temperature: float = 1
    ) -> Tensor:
        """S, the share of each region in each class's image probability.

        Args:
            class_temperature: t^c, divides M^c.
            region_temperature: t^d, divides M^d.

        Returns:
            (N, R, K) values in [0, 1]; 0 for padding.
        """
        by_class = (self.class_logits / class_temperature).softmax(-1)
        by_region = over_regions(self.region_logits, self.mask, temperature=region_temperature)
        return (by_class * by_region).masked_fill(~self.mask[..., None], 0)

    def image_probabilities(
        self, *, class_temperature: float = 1, region_temperature: float = 1
    ) -> Tensor:
        """p^T, or p'^T with temperatures: region scores summed over regions, (N, K) in [0, 1]."""
        scores = self.region_scores(
            class_temperature=class_temperature, region_temperature=region_temperature
        )
        return scores.sum(1).clamp(max=1)


class DetectorHead(nn.Module):
    """From a pooled region to its two rows of logits.

    Args:
        channels: C of the pooled level.
        classes: K.
        kind: ``pooled_linear``: mean over bins, at most one hidden layer; ``fc6_fc7``: VGG's two
            layers on all bins.
        bins: Bins per side of a pooled region.
        hidden: Width of the hidden layer(s); 0 = none (pooled_linear only).
        dropout: Dropout behind each hidden layer. Without a hidden layer whole channels of an image
            are dropped, alike for all its regions, so that their comparison stays fair.

    Attributes:
        pretrained: Whether fc6 and fc7 hold ImageNet weights (`start_from_vgg`).
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        *,
        kind: RegionHead,
        bins: int,
        hidden: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.kind = kind
        self.pretrained = False
        width = channels if kind == "pooled_linear" else channels * bins * bins
        self.fc6: nn.Module = nn.Linear(width, hidden) if hidden else nn.Identity()
        self.fc7: nn.Module = nn.Linear(hidden, hidden) if kind == "fc6_fc7" else nn.Identity()
        self.dropout: nn.Module = nn.Dropout(dropout) if hidden else SharedDropout(dropout)
        self.class_scores = nn.Linear(hidden or width, classes)
        self.region_scores = nn.Linear(hidden or width, classes)
        for layer in (self.class_scores, self.region_scores):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def start_from_vgg(self, weights: dict[str, Tensor]) -> None:
        """Give fc6 and fc7 their ImageNet weights where shapes agree (method 2.3)."""
        layers = {"fc6": self.fc6, "fc7": self.fc7}
        shapes = {
            f"{n}.weight": tuple(cast("nn.Linear", m).weight.shape) for n, m in layers.items()
        }
        if any(shape != tuple(weights[name].shape) for name, shape in shapes.items()):
            return
        for name, layer in layers.items():
            layer.load_state_dict(
                {"weight": weights[f"{name}.weight"], "bias": weights[f"{name}.bias"]}
            )
        self.pretrained = True

    def vectors(self, pooled: Tensor) -> Tensor:
        """fc7-like vectors (…, hidden) of pooled regions (…, C) or (…, C * B * B)."""
        if isinstance(self.fc6, nn.Identity):
            return cast("Tensor", self.dropout(pooled))
        hidden = self.dropout(self.fc6(pooled).relu())
        if self.kind == "fc6_fc7":
            hidden = self.dropout(self.fc7(hidden).relu())
        return cast("Tensor", hidden)

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """M^c and M^d, both (…, K), of pooled regions."""
        vectors = self.vectors(pooled)
        return self.class_scores(vectors), self.region_scores(vectors)


class SharedDropout(nn.Module):
    """Drop channels of (N, R, C) vectors, the same ones in all R regions of an image.

    Args:
        probability: Of a channel to be dropped.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, vectors: Tensor) -> Tensor:
        """Vectors with some channels 0 and the others scaled up; unchanged in evaluation mode."""
        if not self.training or self.probability == 0:
            return vectors
        ones = vectors.new_ones(vectors.shape[0], 1, vectors.shape[-1])
        return vectors * functional.dropout(ones, self.probability)


class Detector(RegionTeacher[DetectorOutput]):
    """Backbone, region pooling and one or several heads (several for cross-fitting).

    Args:
        backbone: Feature extractor.
        level: Level to pool from.
        heads: Heads on the same pooled regions; head 0 is *the* teacher, head 1 + f has not seen
            fold f.
        bins: Bins per side.
        pooling: ``max`` or ``align``.
        score_scale: a of the region weight ``a * score + b``.
        score_bias: b of the region weight.
        region_temperature: Divides the detection logits, in training and ever after (WSDDN's
            release: 2); t^d comes on top of it.
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        level: str,
        heads: list[DetectorHead],
        bins: int,
        pooling: Pooling,
        score_scale: float,
        score_bias: float,
        region_temperature: float = 1.0,
    ) -> None:
        super().__init__()
        self.region_temperature = region_temperature
        self.backbone, self.level, self.bins, self.pooling = backbone, level, bins, pooling
        self.heads = nn.ModuleList(heads)
        self.score_scale, self.score_bias = score_scale, score_bias

    def pooled(self, maps: Tensor, boxes: Tensor, scores: Tensor, *, view_size: int) -> Tensor:
        """Weighted region features, (N, R, C) or (N, R, C * B * B) as the head wants them.

        Args:
            maps: (N, C, h, w) map of `level`.
            boxes: (N, R, 4) unit boxes.
            scores: (N, R) proposal scores.
            view_size: Side of the input in pixels.
        """
        weights = score_weights(scores, scale=self.score_scale, bias=self.score_bias)
        averaged = cast("DetectorHead", self.heads[0]).kind == "pooled_linear"
        if averaged and self.pooling == "align":
            return region_means(maps, boxes, bins=self.bins) * weights[..., None]
        regions = pool_regions(
            maps, boxes, bins=self.bins, pooling=self.pooling, view_size=view_size
        )
        flat = regions.flatten(2).mean(-1) if averaged else regions.flatten(1)
        return flat.view(*boxes.shape[:2], -1) * weights[..., None]

    def describe(
        self, pooled: Tensor, mask: Tensor, heads: tuple[int, ...] = (0,)
    ) -> list[DetectorOutput]:
        """Score pooled regions (N, R, …) with some of the heads."""
        scores: list[tuple[Tensor, Tensor]] = [self.heads[head](pooled) for head in heads]
        temperature = self.region_temperature
        return [
            DetectorOutput(by_class, by_region / temperature, mask)
            for by_class, by_region in scores
        ]

    def read(
        self,
        maps: Tensor,
        boxes: Tensor,
        scores: Tensor,
        mask: Tensor,
        *,
        view_size: int,
        heads: tuple[int, ...] = (0,),
    ) -> list[DetectorOutput]:
        """See `RegionTeacher.read`."""
        return self.describe(self.pooled(maps, boxes, scores, view_size=view_size), mask, heads)

    def evidence(self, maps: Tensor) -> Tensor:
        """Class maps (N, K, h, w), of maps (N, C, h, w): M^c of single cells (pooled_linear)."""
        by_class: Tensor = self.heads[0](maps.permute(0, 2, 3, 1))[0]
        return by_class.permute(0, 3, 1, 2)
