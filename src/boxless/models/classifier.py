"""The student: any backbone with a small head (S-Cls)."""

from typing import Literal, cast

from torch import Tensor, nn

from boxless.models.backbone import Backbone
from boxless.models.pixels import resize_aligned

Head = Literal["gap", "fc6_fc7"]
POOLED_SIDE = 7
FC_WIDTH = 4096


class Classifier(nn.Module):
    """Backbone, pooling and classifier; returns logits.

    Args:
        backbone: Feature extractor.
        classes: K.
        head: ``gap``: global average pooling and one linear layer; ``fc6_fc7``: VGG's fc6-fc7-fc8
            on a 7 x 7 map (the released code's student).
        dropout: Dropout before the last layer (gap), or behind fc6 and fc7.
        hidden: Width of fc6 and fc7.
        resize_to: Side to which larger inputs are resized inside the network, corners aligned
            (the released code's ``Interp`` layer); 0 = inputs are taken as they come.
    """

    def __init__(
        self,
        backbone: Backbone,
        classes: int,
        *,
        head: Head,
        dropout: float,
        hidden: int = FC_WIDTH,
        resize_to: int = 0,
    ) -> None:
        super().__init__()
        self.backbone, self.resize_to = backbone, resize_to
        self.head_kind = head
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

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits (N, K) of RGB pixels (N, 3, S, S) in 0-255."""
        return self.forward_inputs(self.backbone.normalize(pixels))

    def forward_inputs(self, inputs: Tensor) -> Tensor:
        """Logits (N, K) of already normalised inputs (N, 3, S, S); what is exported."""
        if self.resize_to:
            inputs = resize_aligned(inputs, self.resize_to)  # linear, so normalising may come first
        return self.classify(self.backbone(inputs)["final"])

    def classify(self, maps: Tensor) -> Tensor:
        """Logits (N, K) of final maps (N, C, h, w)."""
        pooled = maps.mean((2, 3)) if self.head_kind == "gap" else self.neck(maps)
        return cast("Tensor", self.fc(self.dropout(pooled)))


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
