"""VGG's weights under timm's names: from torchvision's files, timm's own, and Caffe's.

timm keeps fc6 and fc7 as convolutions (``pre_logits.fc1``, ``pre_logits.fc2``), torchvision as the
linear layers ``classifier.0`` and ``classifier.3``, Caffe as the layers ``fc6`` and ``fc7``. All
three flatten conv5's map by channel, row, column, so the numbers are the same.
"""

import math
from typing import Any, cast

from torch import Tensor, nn

from boxless.errors import ConfigError

FC_NAMES = {"fc6": ("pre_logits.fc1", "classifier.0"), "fc7": ("pre_logits.fc2", "classifier.3")}
"""Our name of a layer -> timm's and torchvision's."""


def take_fc(
    state: dict[str, Tensor], expected: dict[str, Tensor], *, where: str
) -> dict[str, Tensor] | None:
    """Take fc6 and fc7 out of a VGG state dict of timm or torchvision.

    Args:
        state: Tensors by name; those of fc6 and fc7 are removed.
        expected: ``fc6.weight`` … of the network, for their shapes.
        where: Source, for messages.

    Returns:
        ``fc6.weight``, ``fc6.bias``, ``fc7.weight``, ``fc7.bias``; None if the file holds
        convolutions alone.

    Raises:
        ConfigError: Some of the four are missing, or have another shape.
    """
    found = {}
    for ours, theirs in FC_NAMES.items():
        for part in ("weight", "bias"):
            keys = [f"{name}.{part}" for name in theirs if f"{name}.{part}" in state]
            if keys:
                value = state.pop(keys[0])
                found[f"{ours}.{part}"] = value.flatten(1) if part == "weight" else value
    if not found:
        return None
    for name, like in expected.items():
        _require(found.get(name), like, name, where)
    return found


def to_timm_fc(fc: dict[str, Tensor], channels: int) -> dict[str, Tensor]:
    """fc6 and fc7 as the convolutions that timm makes of them.

    Args:
        fc: ``fc6.weight`` …, as `take_fc` returns them.
        channels: C of the map that fc6 looks at.
    """
    width = len(fc["fc6.weight"])
    side = math.isqrt(fc["fc6.weight"].shape[1] // channels)
    return {
        "pre_logits.fc1.weight": fc["fc6.weight"].reshape(width, channels, side, side),
        "pre_logits.fc1.bias": fc["fc6.bias"],
        "pre_logits.fc2.weight": fc["fc7.weight"][..., None, None],
        "pre_logits.fc2.bias": fc["fc7.bias"],
    }


def from_caffe(
    blobs: dict[str, list[Tensor]], net: nn.Module, expected: dict[str, Tensor], *, where: str
) -> tuple[dict[str, Tensor], dict[str, Tensor] | None]:
    """Name a Caffe VGG's blobs as timm does.

    Args:
        blobs: Weight and bias of each layer, as `boxless.models.weight_files` reads them.
        net: timm's VGG; its convolutions say which layers are needed and which shapes.
        expected: ``fc6.weight`` … of the network, for their shapes.
        where: Source, for messages.

    Returns:
        State dict of the convolutions, and that of fc6 and fc7 (None if the file has neither).

    Raises:
        ConfigError: A layer is missing, or a blob has another shape.
    """
    state: dict[str, Tensor] = {}
    for layer, (place, conv) in caffe_layers(net).items():
        weight, bias = _pair(blobs, layer, where)
        _require(weight, conv.weight, f"{layer} (weight)", where)
        _require(_squeezed(bias, 1), conv.bias, f"{layer} (bias)", where)
        state[f"features.{place}.weight"] = weight
        state[f"features.{place}.bias"] = _squeezed(bias, 1)
    if not {"fc6", "fc7"} & set(blobs):
        return state, None
    fc = {}
    for layer in ("fc6", "fc7"):
        weight, bias = _pair(blobs, layer, where)
        fc[f"{layer}.weight"], fc[f"{layer}.bias"] = _squeezed(weight, 2), _squeezed(bias, 1)
    for name, like in expected.items():
        _require(fc[name], like, name, where)
    return state, fc


def caffe_layers(net: nn.Module) -> dict[str, tuple[int, nn.Conv2d]]:
    """Caffe's name of each convolution (conv1_1 …) -> its place in ``features``, and itself."""
    layers: dict[str, tuple[int, nn.Conv2d]] = {}
    block, count = 1, 0
    for place, module in enumerate(cast("Any", net).features):
        if isinstance(module, nn.MaxPool2d):
            block, count = block + 1, 0
        elif isinstance(module, nn.Conv2d):
            count += 1
            layers[f"conv{block}_{count}"] = (place, module)
    return layers


def _pair(blobs: dict[str, list[Tensor]], layer: str, where: str) -> tuple[Tensor, Tensor]:
    found = blobs.get(layer)
    if found is None:
        raise ConfigError(
            f"{where} has no layer {layer!r}; its layers with weights are {', '.join(blobs)}",
            hint="it is of another network; VGG's layers are conv1_1 … conv5_3, fc6, fc7",
        )
    if len(found) != 2:
        raise ConfigError(
            f"{where}: layer {layer!r} has {len(found)} blobs, expected weight and bias",
            hint="it is of another network",
        )
    return found[0], found[1]


def _squeezed(value: Tensor, axes: int) -> Tensor:
    """Without the leading axes of length 1 that old files put before (1, 1, 4096, 25088)."""
    shape = tuple(value.shape)
    surplus = len(shape) - axes
    if surplus > 0 and math.prod(shape[:surplus]) == 1:
        return value.reshape(shape[surplus:])
    return value


def _require(value: Tensor | None, like: Tensor | None, name: str, where: str) -> None:
    wanted = tuple(like.shape) if like is not None else None
    found = tuple(value.shape) if value is not None else None
    if found != wanted:
        raise ConfigError(
            f"{where}: {name} has the shape {found}, the model needs {wanted}"
            if found
            else f"{where} lacks {name}, which the model needs with the shape {wanted}",
            hint="the file belongs to another architecture; check backbone and weights",
        )
