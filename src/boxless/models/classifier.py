"""The student: any backbone with a small head (S-Cls)."""

from typing import cast

from torch import Tensor, nn
from torch.nn import functional

from boxless.errors import ConfigError
from boxless.losses.boost import BoostLU
from boxless.models.backbone import Backbone, as_backbone
from boxless.models.pixels import resize_aligned
from boxless.models.pretrained import Head, PretrainedModel

POOLED_SIDE = 7
FC_WIDTH = 4096


class Classifier(PretrainedModel):
    """Backbone, pooling and classifier; returns logits.

    Args:
        backbone: Feature extractor: a `Backbone`, a timm name (random weights) or a module of your
            own that turns (N, 3, H, W) into one map (N, C, h, w).
        classes: K.
        head: ``gap``: global average pooling and one linear layer; ``fc6_fc7``: VGG's fc6-fc7-fc8
            on a 7 x 7 map (the released code's student).
        dropout: Dropout before the last layer (gap), or behind fc6 and fc7.
        hidden: Width of fc6 and fc7.
        input_size: Side of its input in pixels; others are resized inside the network, corners
            aligned (the released code's ``Interp`` layer). 0 = all are taken as they come.
        boost: Factor of positive evidence in the class maps of a ``gap`` head, whose mean the logit
            is (`boxless.losses.BoostLU`); 1 = none.

    Attributes:
        class_names: K names, where they are known (`from_pretrained`), else ().

    Example:
        >>> import torch
        >>> from boxless.models import Classifier
        >>> student = Classifier("test_resnet", classes=3)
        >>> pixels = torch.randint(0, 256, (2, 3, 64, 64)).float()  # RGB in 0-255
        >>> student(pixels).shape
        torch.Size([2, 3])
        >>> maps = student.final_maps(student.backbone.normalize(pixels))  # for a loss of maps
        >>> student.classify(maps).shape
        torch.Size([2, 3])
    """

    def __init__(
        self,
        backbone: Backbone | str | nn.Module,
        classes: int,
        *,
        head: Head = "gap",
        dropout: float = 0.0,
        hidden: int = FC_WIDTH,
        input_size: int = 0,
        boost: float = 1.0,
    ) -> None:
        super().__init__()
        if boost != 1 and head != "gap":
            raise ConfigError(
                f"boost = {boost:g} needs head = 'gap', found {head!r}",
                hint="a head of fully connected layers pools no class maps",
            )
        backbone = as_backbone(backbone)
        self.backbone, self.input_size, self.boost = backbone, input_size, BoostLU(boost)
        self.head_kind, self.class_names = head, tuple[str, ...]()
        channels = backbone.channels("final")
        self.neck = nn.Sequential()
        width = channels
        if head == "fc6_fc7":
            width = hidden
            self.neck = vgg_neck(channels, backbone.vgg_fc, dropout, hidden)
        self.dropout = nn.Dropout(dropout if head == "gap" else 0.0)
        self.fc = nn.Linear(width, classes)
        nn.init.xavier_uniform_(self.fc.weight)
        nn.init.zeros_(self.fc.bias)

    @property
    def classes(self) -> int:
        """K."""
        return self.fc.out_features

    def maps(self, pixels: Tensor, levels: tuple[str, ...]) -> dict[str, Tensor]:
        """Maps (N, C, h, w) by level of RGB pixels (N, 3, S, S) in 0-255, at its own input size."""
        return super().maps(self._resized(pixels), levels)

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits (N, K) of RGB pixels (N, 3, S, S) in 0-255."""
        return self.forward_inputs(self.backbone.normalize(pixels))

    def forward_inputs(self, inputs: Tensor) -> Tensor:
        """Logits (N, K) of already normalised inputs (N, 3, S, S)."""
        return self.classify(self.final_maps(inputs))

    def final_maps(self, inputs: Tensor) -> Tensor:
        """Final maps (N, C, h, w) of already normalised inputs (N, 3, S, S)."""
        inputs = self._resized(inputs)  # linear, so normalizing may come first
        return cast("Tensor", self.backbone(inputs)["final"])

    def _resized(self, inputs: Tensor) -> Tensor:
        return resize_aligned(inputs, self.input_size) if self.input_size else inputs

    def classify(self, maps: Tensor) -> Tensor:
        """Logits (N, K) of final maps (N, C, h, w)."""
        if self.boost.alpha != 1:
            return self.evidence(self.dropout(maps)).mean((2, 3))
        return cast("Tensor", self.fc(self.dropout(self.vectors(maps))))

    def vectors(self, maps: Tensor) -> Tensor:
        """What the last layer sees, before dropout, of final maps (N, C, h, w)."""
        return maps.mean((2, 3)) if self.head_kind == "gap" else cast("Tensor", self.neck(maps))

    def evidence(self, maps: Tensor) -> Tensor:
        """The logits of each class, cell by cell: what a whole map of that cell would give.

        With the head ``gap`` this is the class activation map (weight . feature + bias; Zhou et
        al., CVPR 2016), boosted if asked for, and its mean over the cells is the logit. With
        ``fc6_fc7`` the cell is repeated over the 7 x 7 places that fc6 looks at: fc6's weights
        summed over the places; no simple sum of such cells is the logit then.

        Args:
            maps: (N, C, h, w) final maps.

        Returns:
            (N, K, h, w).
        """
        cells = maps
        if self.head_kind == "fc6_fc7":
            fc6, fc7 = cast("nn.Linear", self.neck[2]), cast("nn.Linear", self.neck[5])
            summed = fc6.weight.view(len(fc6.weight), -1, POOLED_SIDE**2).sum(2)
            cells = functional.conv2d(cells, summed[:, :, None, None], fc6.bias).relu()
            cells = functional.conv2d(cells, fc7.weight[:, :, None, None], fc7.bias).relu()
        found = functional.conv2d(cells, self.fc.weight[:, :, None, None], self.fc.bias)
        return cast("Tensor", self.boost(found)) if self.boost.alpha != 1 else found


def vgg_neck(
    channels: int, weights: dict[str, Tensor] | None, dropout: float, hidden: int = FC_WIDTH
) -> nn.Sequential:
    """fc6 and fc7 with ReLU and dropout on a 7 x 7 map, from ImageNet weights where they fit."""
    fc6 = nn.Linear(channels * POOLED_SIDE**2, hidden)
    fc7 = nn.Linear(hidden, hidden)
    if weights is not None and weights["fc6.weight"].shape == fc6.weight.shape:
        for name, layer in (("fc6", fc6), ("fc7", fc7)):
            layer.weight.data.copy_(weights[f"{name}.weight"])
            layer.bias.data.copy_(weights[f"{name}.bias"])
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(POOLED_SIDE),
        nn.Flatten(),
        fc6,
        nn.ReLU(),
        nn.Dropout(dropout),
        fc7,
        nn.ReLU(),
        nn.Dropout(dropout),
    )
