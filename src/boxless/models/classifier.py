"""The student: any backbone with a small head (S-Cls)."""

from collections.abc import Iterable
from typing import Literal, cast

import torch
from torch import Tensor, nn

from boxless.models.backbone import Backbone

Head = Literal["gap", "fc6_fc7"]
POOLED_SIDE = 7
FC_WIDTH = 4096


class Classifier(nn.Module):
    """Backbone, pooling and classifier; returns logits.

    Pooled features are multiplied by the buffer ``feature_scale`` (1 unless set) before the last
    layer. Stage 1 may leave the backbone speaking on the teacher's scale, several times smaller
    than its own; a new last layer would learn that much more slowly than the baseline's.

    Args:
        backbone: Feature extractor.
        classes: K.
        head: ``gap``: global average pooling and one linear layer; ``fc6_fc7``: VGG's fc6-fc7-fc8
        on
            a 7 x 7 map (the released code's student).
        dropout: Dropout before the last layer (gap), or behind fc6 and fc7.
    """

    feature_scale: Tensor

    def __init__(self, backbone: Backbone, classes: int, *, head: Head, dropout: float) -> None:
        super().__init__()
        self.backbone = backbone
        self.head_kind = head
        channels = backbone.channels("final")
        self.neck = nn.Sequential()
        width = channels
        if head == "fc6_fc7":
            width = FC_WIDTH
            self.neck = vgg_neck(channels, backbone.vgg_fc, dropout)
        self.register_buffer("feature_scale", torch.ones(()))
        self.dropout = nn.Dropout(dropout if head == "gap" else 0.0)
        self.fc = nn.Linear(width, classes)
        nn.init.xavier_uniform_(self.fc.weight)
        nn.init.zeros_(self.fc.bias)

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits (N, K) of RGB pixels (N, 3, S, S) in 0-255."""
        return self.forward_inputs(self.backbone.normalize(pixels))

    def forward_inputs(self, inputs: Tensor) -> Tensor:
        """Logits (N, K) of already normalised inputs (N, 3, S, S); what is exported."""
        return cast("Tensor", self.fc(self.dropout(self.pooled(inputs) * self.feature_scale)))

    def pooled(self, inputs: Tensor) -> Tensor:
        """Features (N, D) that the last layer sees, before `feature_scale`."""
        maps = self.backbone(inputs)["final"]
        return maps.mean((2, 3)) if self.head_kind == "gap" else cast("Tensor", self.neck(maps))

    @torch.no_grad()
    def feature_size(self, batches: Iterable[Tensor]) -> float:
        """Root mean square of the pooled features over some inputs, in evaluation mode."""
        self.eval()
        squares = [self.pooled(inputs).square().mean(1) for inputs in batches]
        return float(torch.cat(squares).mean().sqrt())


def vgg_neck(channels: int, weights: dict[str, Tensor] | None, dropout: float) -> nn.Sequential:
    """fc6 and fc7 with ReLU and dropout on a 7 x 7 map, from ImageNet weights where they fit."""
    fc6 = nn.Linear(channels * POOLED_SIDE**2, FC_WIDTH)
    fc7 = nn.Linear(FC_WIDTH, FC_WIDTH)
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
