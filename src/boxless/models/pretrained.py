"""A student as a folder in the layout of the Hugging Face Hub, readable by timm.

``model.safetensors`` holds the backbone under timm's own names, BatchNorms included even where
training had folded them away. Where timm's architecture ends as the student does (average pooling
and one layer; VGG's fc6, fc7, fc8), the head has timm's names too, and
``timm.create_model("local-dir:FOLDER", pretrained=True)`` is the whole student. Elsewhere the head
is stored under ``boxless.…``. ``config.json`` is timm's, with a section ``boxless``.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import timm
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from boxless.errors import ConfigError
from boxless.files.atomic import write_atomically
from boxless.models.backbone import Backbone
from boxless.models.classifier import POOLED_SIDE, Classifier
from boxless.models.folding import unfolded_state
from boxless.models.pixels import PixelScheme
from boxless.models.weight_files import read_safetensors
from boxless.models.weights import load_matching

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
OWN = "boxless."
"""Prefix of tensors that timm does not know."""

SAME = 1e-3
"""Largest difference of logits, as a share of the largest, between timm's model and ours."""

Positive = Annotated[float, Field(gt=0)]


class _Section(BaseModel):
    """The section ``boxless`` of config.json; further keys are for people."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    head: Literal["gap", "fc6_fc7"]
    hidden: int = Field(ge=1)
    resize_to: int = Field(ge=0)
    input_size: int = Field(ge=1)
    mean: tuple[float, float, float]
    std: tuple[Positive, Positive, Positive]
    channels: Literal["RGB", "BGR"]


class _Config(BaseModel):
    """What is read of config.json."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    architecture: str
    label_names: tuple[str, ...] = Field(min_length=1)
    boxless: _Section


def save(
    model: Classifier,
    folder: Path,
    classes: Sequence[str],
    input_size: int,
    about: Mapping[str, Any],
) -> bool:
    """See `Classifier.save_pretrained`."""
    if len(classes) != model.fc.out_features:
        raise ConfigError(
            f"the model has {model.fc.out_features} classes, but {len(classes)} names are given"
        )
    plain = timm.create_model(model.backbone.name, num_classes=len(classes))
    state = unfolded_state(model.backbone.net, plain)
    head = _timm_head(model, plain)
    whole = _same(model, plain, state | head, model.resize_to or input_size)
    if not whole:
        own = {**_prefixed(model.neck, "neck."), **_prefixed(model.fc, "fc.")}
        head = {OWN + name: tensor for name, tensor in own.items()}
    config = _config(model, plain, classes, input_size, about)
    tensors = {name: t.detach().cpu().contiguous() for name, t in (state | head).items()}
    write_atomically(folder / WEIGHTS, to_bytes(tensors, metadata={"format": "pt"}))
    text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
    write_atomically(folder / CONFIG, text.encode())
    return whole


def load(folder: Path) -> Classifier:
    """See `Classifier.from_pretrained`."""
    config = _read_config(folder / CONFIG)
    own = config.boxless
    scheme = PixelScheme(own.mean, own.std, own.channels)
    backbone = Backbone(config.architecture, pixel_scheme=scheme)
    count = len(config.label_names)
    model = Classifier(
        backbone, count, head=own.head, dropout=0.0, hidden=own.hidden, resize_to=own.resize_to
    )
    backbone.vgg_fc = None  # half a gigabyte that is no longer needed
    state = read_safetensors(folder / WEIGHTS)
    where = str(folder / WEIGHTS)
    for part, module in (("neck.", model.neck), ("fc.", model.fc)):
        load_matching(module, _head_state(state, part, model), where=where)
    trunk = {name: t for name, t in state.items() if name in backbone.net.state_dict()}
    load_matching(backbone.net, trunk, where=where)
    model.class_names = config.label_names
    return model.eval()


def _timm_head(model: Classifier, plain: nn.Module) -> dict[str, Tensor]:
    """The head under timm's names; some of it may not fit, which `_same` finds out."""
    found = {f"{_classifier_name(plain)}.{k}": v for k, v in model.fc.state_dict().items()}
    if model.head_kind == "fc6_fc7":
        for number, layer in ((1, model.neck[2]), (2, model.neck[5])):
            weight = cast("Tensor", layer.weight)
            side = POOLED_SIDE if number == 1 else 1
            shape = (len(weight), -1, side, side)
            found[f"pre_logits.fc{number}.weight"] = weight.reshape(shape)
            found[f"pre_logits.fc{number}.bias"] = cast("Tensor", layer.bias)
    return found


def _head_state(state: dict[str, Tensor], part: str, model: Classifier) -> dict[str, Tensor]:
    """Tensors of ``neck.`` or ``fc.``, under whichever names they were stored."""
    prefix = OWN + part
    own = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    if own or any(name.startswith(OWN) for name in state):
        return own
    if part == "fc.":
        name = _classifier_name(model.backbone.net) + "."
        return {k.removeprefix(name): v for k, v in state.items() if k.startswith(name)}
    found = {}
    for number, place in ((1, 2), (2, 5)):
        for kind in ("weight", "bias"):
            tensor = state.get(f"pre_logits.fc{number}.{kind}")
            if tensor is not None and model.head_kind == "fc6_fc7":
                found[f"{place}.{kind}"] = tensor.flatten(1) if kind == "weight" else tensor
    return found


def _classifier_name(net: nn.Module) -> str:
    config = cast("Any", net).pretrained_cfg or {}
    name = config.get("classifier") or "fc"
    return str(name if isinstance(name, str) else name[0])


@torch.no_grad()
def _same(model: Classifier, plain: nn.Module, state: dict[str, Tensor], size: int) -> bool:
    """Whether timm's model with that state is the student."""
    wanted = {name: tensor.shape for name, tensor in plain.state_dict().items()}
    if wanted != {name: tensor.shape for name, tensor in state.items()}:
        return False
    plain.load_state_dict(state)
    generator = torch.Generator().manual_seed(0)
    probe = torch.randn(2, 3, size, size, generator=generator)
    training = model.training
    ours, theirs = model.eval().cpu().forward_inputs(probe), plain.eval()(probe)
    model.train(training)
    return float((ours - theirs).abs().max()) <= SAME * max(float(ours.abs().max()), 1.0)


def _prefixed(module: nn.Module, prefix: str) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in module.state_dict().items()}


def _config(
    model: Classifier,
    plain: nn.Module,
    classes: Sequence[str],
    input_size: int,
    about: Mapping[str, Any],
) -> dict[str, Any]:
    scheme = model.backbone.scheme
    own = {
        "head": model.head_kind,
        "hidden": cast("nn.Linear", model.neck[2]).out_features if len(model.neck) else 1,
        "resize_to": model.resize_to,
        "input_size": input_size,
        "mean": list(scheme.mean),
        "std": list(scheme.std),
        "channels": scheme.channels,
    }
    known = cast("Any", plain).pretrained_cfg or {}
    return {
        "architecture": model.backbone.name,
        "num_classes": len(classes),
        "num_features": model.backbone.channels("final"),
        "label_names": list(classes),
        "pretrained_cfg": {
            "input_size": [3, input_size, input_size],
            "fixed_input_size": bool(known.get("fixed_input_size", False)),
            "interpolation": "bilinear",
            "crop_pct": 1.0,
            "crop_mode": "squash",
            "mean": [value / 255 for value in scheme.mean],
            "std": [value / 255 for value in scheme.std],
            "num_classes": len(classes),
            "pool_size": known.get("pool_size"),
            "first_conv": known.get("first_conv"),
            "classifier": known.get("classifier"),
        },
        "boxless": {**about, **own},
    }


def _read_config(path: Path) -> _Config:
    try:
        return _Config.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror or error}",
            hint="name a folder that `boxless export RUN --hub FOLDER` wrote",
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigError(
            f"{path}: {place or 'the file'} is wrong: {first['msg']}",
            hint="write the folder again with `boxless export RUN --hub FOLDER`",
        ) from error
