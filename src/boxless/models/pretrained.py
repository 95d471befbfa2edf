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
from typing import Annotated, Any, Literal, Self, cast

import timm
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from boxless.errors import ConfigError
from boxless.files.atomic import write_atomically
from boxless.losses.boost import BoostLU
from boxless.models.backbone import Backbone
from boxless.models.folding import unfolded_state
from boxless.models.network import OnBackbone
from boxless.models.pixels import PixelScheme
from boxless.models.vgg_weights import take_fc, to_timm_fc
from boxless.models.weight_files import read_safetensors
from boxless.models.weights import load_matching

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
OWN = "boxless."
"""Prefix of tensors that timm does not know."""

SAME = 1e-3
"""Largest difference of logits, as a share of the largest, between timm's model and ours."""

Head = Literal["gap", "fc6_fc7"]
Positive = Annotated[float, Field(gt=0)]


class _Section(BaseModel):
    """The section ``boxless`` of config.json; further keys are for people."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    head: Head
    hidden: int = Field(ge=1)
    resize_to: int = Field(ge=0)
    boost: float = Field(1.0, ge=1)
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


class PretrainedModel(OnBackbone):
    """Base of a network that can be written to such a folder and read again.

    Attributes:
        neck: fc6 and fc7 (``fc6_fc7``), or nothing (``gap``).
        fc: The last layer.
        head_kind: ``gap`` or ``fc6_fc7``.
        input_size: Side to which inputs are resized inside the network; 0 = they are not.
        boost: Boosts the class maps; its ``alpha`` is 1 where they are as they are.
        class_names: K names, where they are known (`from_pretrained`), else ().
    """

    neck: nn.Sequential
    fc: nn.Linear
    head_kind: Head
    input_size: int
    boost: BoostLU
    class_names: tuple[str, ...]

    def save_pretrained(
        self,
        folder: str | Path,
        *,
        classes: Sequence[str],
        input_size: int,
        about: Mapping[str, Any] | None = None,
    ) -> bool:
        """Write the model in the layout of the Hugging Face Hub.

        Args:
            folder: Gets ``model.safetensors`` and ``config.json``.
            classes: K names.
            input_size: Side of the images in pixels.
            about: Further values for ``config.json``.

        Returns:
            Whether timm alone can use the whole model, not only its backbone.

        Raises:
            ConfigError: There are not K names.
            RunError: The folder cannot be written.
        """
        if len(classes) != self.fc.out_features:
            raise ConfigError(
                f"the model has {self.fc.out_features} classes, but {len(classes)} names are given"
            )
        plain = timm.create_model(self.backbone.name, num_classes=len(classes))
        state = unfolded_state(self.backbone.net, plain)
        head = self._timm_head(plain)
        whole = _same(self, plain, state | head, self.input_size or input_size)
        if not whole:
            own = {**_prefixed(self.neck, "neck."), **_prefixed(self.fc, "fc.")}
            head = {OWN + name: tensor for name, tensor in own.items()}
        config = _config(self, plain, classes, input_size, about or {})
        tensors = {name: t.detach().cpu().contiguous() for name, t in (state | head).items()}
        write_atomically(Path(folder) / WEIGHTS, to_bytes(tensors, metadata={"format": "pt"}))
        text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
        write_atomically(Path(folder) / CONFIG, text.encode())
        return whole

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> Self:
        """Read a model that `save_pretrained` wrote, in evaluation mode.

        Args:
            folder: On this machine; one on the Hub is downloaded first (``hf download``).

        Raises:
            ConfigError: A file is missing, damaged, or of another kind of model.
        """
        config = _read_config(Path(folder) / CONFIG)
        own, names = config.boxless, config.label_names
        scheme = PixelScheme(own.mean, own.std, own.channels)
        backbone = Backbone(config.architecture, pixel_scheme=scheme)
        model = cls(
            backbone,
            len(names),
            head=own.head,
            dropout=0.0,
            hidden=own.hidden,
            input_size=own.resize_to,
            boost=own.boost,
        )
        backbone.vgg_fc = None  # half a gigabyte that is no longer needed
        path = Path(folder) / WEIGHTS
        state = read_safetensors(path)
        neck, fc = _head_states(state, model, str(path))
        trunk = {name: t for name, t in state.items() if name in backbone.net.state_dict()}
        for module, part in ((model.neck, neck), (model.fc, fc), (backbone.net, trunk)):
            load_matching(module, part, where=str(path))
        model.class_names = names
        return model.eval()

    def forward_inputs(self, inputs: Tensor) -> Tensor:
        """Logits (N, K) of already normalised inputs (N, 3, S, S)."""
        raise NotImplementedError

    def _timm_head(self, plain: nn.Module) -> dict[str, Tensor]:
        """The head under timm's names; some of it may not fit, which `_same` finds out."""
        found = _prefixed(self.fc, f"{_classifier_name(plain)}.")
        if self.head_kind == "fc6_fc7":
            found |= to_timm_fc(_vgg_names(self.neck), self.backbone.channels("final"))
        return found


def _vgg_names(neck: nn.Sequential) -> dict[str, Tensor]:
    """``fc6.weight`` … of a neck."""
    return {**_prefixed(neck[2], "fc6."), **_prefixed(neck[5], "fc7.")}


def _head_states(
    state: dict[str, Tensor], model: PretrainedModel, where: str
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Tensors of the neck and of the last layer, under whichever names they were stored."""
    if any(name.startswith(OWN) for name in state):
        return _below(state, f"{OWN}neck."), _below(state, f"{OWN}fc.")
    fc = _below(state, f"{_classifier_name(model.backbone.net)}.")
    if model.head_kind == "gap":
        return {}, fc
    found = take_fc(dict(state), _vgg_names(model.neck), where=where) or {}
    places = {"fc6": "2", "fc7": "5"}
    return {f"{places[name[:3]]}{name[3:]}": tensor for name, tensor in found.items()}, fc


def _classifier_name(net: nn.Module) -> str:
    config = cast("Any", net).pretrained_cfg or {}
    name = config.get("classifier") or "fc"
    return str(name if isinstance(name, str) else name[0])


@torch.no_grad()
def _same(model: PretrainedModel, plain: nn.Module, state: dict[str, Tensor], size: int) -> bool:
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


def _below(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): t for k, t in state.items() if k.startswith(prefix)}


def _config(
    model: PretrainedModel,
    plain: nn.Module,
    classes: Sequence[str],
    input_size: int,
    about: Mapping[str, Any],
) -> dict[str, Any]:
    scheme = model.backbone.scheme
    own = {
        "head": model.head_kind,
        "hidden": cast("nn.Linear", model.neck[2]).out_features if len(model.neck) else 1,
        "resize_to": model.input_size,
        "boost": model.boost.alpha,
        "input_size": input_size,
        "mean": list(scheme.mean),
        "std": list(scheme.std),
        "channels": scheme.channels,
    }
    known = cast("Any", plain).pretrained_cfg or {}
    return {
        "architecture": model.backbone.name,
        "num_classes": len(classes),
        "problem_type": "multi_label_classification",  # transformers takes the sigmoid then
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
