"""Any timm model as a feature extractor with named levels.

Levels are named by their stride: ``stride4``, ``stride8``, ``stride16``, ``stride32``; ``final`` is
what the model's own classifier would see before pooling (for EfficientNet the 1280-channel map
behind ``stride32``). For VGG16 conv3_3, conv4_3, conv5_3 of the paper are ``stride4``, ``stride8``,
``stride16`` (after ReLU).

timm's traps, settled here: transformers return tokens and Swin returns NHWC from
``forward_features`` (their last intermediate map is ``final``); several ViT blocks share a stride
(the last one gets the name); VGG keeps fc6 and fc7 inside ``pre_logits`` (taken out, see
`Backbone.vgg_fc`).

Cell i of a map with stride s looks at ``s * (i + 1/2)``, the middle of its square. The kernels of
strided convolutions lie half a cell beside it, to the right in models ported from TensorFlow and to
the left in torch's, but training on mirrored images undoes that: docs/decisions/0011 has the
measurement.
"""

from difflib import get_close_matches
from typing import Any, cast

import timm
import torch
from torch import Tensor, nn

from boxless.errors import ConfigError, unknown_name
from boxless.models.module_features import ModuleFeatures
from boxless.models.pixels import CAFFE, IMAGENET, PixelScheme, timm_scheme


class Backbone(nn.Module):
    """A timm model, or a module of the user's, that returns named feature maps.

    Args:
        name: timm model name, or a module that turns normalized images (N, 3, H, W) into a map
            (N, C, h, w): its one level is ``final``.
        pixel_scheme: ``auto`` (the model's own; a module's is ImageNet's), ``timm`` (same) or
            ``caffe``.
        pretrained: Load timm's ImageNet weights (needs a network or timm's cache).

    Attributes:
        vgg_fc: ``fc6.weight`` … of a VGG, not part of the backbone, for heads to start from;
            None if there are none.
        is_vgg: Whether the network is a VGG.
        classifier: Weight (concepts, C) and bias (concepts,) of the linear classifier of ``final``
            that came with the weights, not part of the backbone; None if there is none.

    Raises:
        ConfigError: timm has no such model, or it gives no feature maps.

    Example:
        >>> import torch
        >>> from boxless.models import Backbone
        >>> backbone = Backbone("test_resnet")
        >>> backbone.levels
        ['stride2', 'stride4', 'stride8', 'stride16', 'stride32', 'final']
        >>> pixels = torch.randint(0, 256, (2, 3, 64, 64)).float()  # RGB in 0-255
        >>> backbone(backbone.normalize(pixels), ("stride16",))["stride16"].shape
        torch.Size([2, 192, 4, 4])
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        name: str | nn.Module,
        *,
        pixel_scheme: str | PixelScheme = "auto",
        pretrained: bool = False,
    ) -> None:
        super().__init__()
        self.net = ModuleFeatures(name) if isinstance(name, nn.Module) else _timm(name, pretrained)
        self.classifier = _take_classifier(self.net) if pretrained else None
        self.name = type(name).__name__ if isinstance(name, nn.Module) else name
        self.vgg_fc = _take_vgg_fc(self.net)
        self.is_vgg = self.vgg_fc is not None
        if not hasattr(self.net, "forward_intermediates"):
            raise ConfigError(
                f"timm model {self.name!r} has no forward_intermediates: no feature maps"
            )
        info = cast("Any", self.net).feature_info
        infos = info if isinstance(info, list) else info.info
        self._index = {f"stride{f['reduction']}": i for i, f in enumerate(infos)}
        self._channels = {f"stride{f['reduction']}": int(f["num_chs"]) for f in infos}
        self._channels["final"] = self._final_channels()
        self.set_pixel_scheme(self._resolve(pixel_scheme))

    @property
    def levels(self) -> list[str]:
        """Names of the levels, fine to coarse."""
        return list(self._channels)

    def channels(self, level: str) -> int:
        """Channels of a level.

        Raises:
            ConfigError: There is no such level.
        """
        if level not in self._channels:
            raise ConfigError(unknown_name(f"level of {self.name}", level, self._channels))
        return self._channels[level]

    def stride(self, level: str) -> int:
        """Input pixels a cell of a level stands for, per side.

        Raises:
            ConfigError: There is no such level.
        """
        self.channels(level)
        name = level if level != "final" else list(self._index)[-1]
        return int(name.removeprefix("stride"))

    def freeze_to(self, level: str) -> None:
        """Train nothing that a level's map is made of, the layers up to and including its own.

        Early layers are general: few images do not improve them, and leaving them alone spares
        their part of the backward pass.

        Args:
            level: Name from `levels`.

        Raises:
            ConfigError: There is no such level, or no layer comes after it.
        """
        self.channels(level)
        owned = [p for p in self.parameters() if p.requires_grad]
        probe = self._probe().to(self.mean.device)
        training = self.training
        with torch.enable_grad():  # whoever builds the network may look at it only
            maps = self.eval()(probe, (level,))  # in training mode BatchNorm would learn the probe
            made = torch.autograd.grad(maps[level].sum(), owned, allow_unused=True)
        self.train(training)
        if all(gradient is not None for gradient in made):
            raise ConfigError(
                f"freezing {self.name} up to {level!r} leaves nothing to train",
                hint=f"its levels are {', '.join(self.levels)}; take an earlier one, or ''",
            )
        for parameter, gradient in zip(owned, made, strict=True):
            parameter.requires_grad_(gradient is None)

    def set_pixel_scheme(self, scheme: PixelScheme) -> None:
        """Set the normalisation, for weights that expect another one than timm says."""
        self.scheme = scheme
        self.register_buffer("mean", torch.tensor(scheme.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(scheme.std).view(1, 3, 1, 1), persistent=False)

    def normalize(self, pixels: Tensor) -> Tensor:
        """Normalise (N, 3, H, W) RGB pixels in 0-255 to the network's input."""
        ordered = pixels.flip(1) if self.scheme.channels == "BGR" else pixels
        return (ordered - self.mean) / self.std

    def forward(self, inputs: Tensor, levels: tuple[str, ...] = ("final",)) -> dict[str, Tensor]:
        """Feature maps of the asked levels.

        Args:
            inputs: (N, 3, H, W), as `normalize` returns it.
            levels: Names from `levels`.

        Returns:
            Level -> (N, C, h, w) map.
        """
        if levels == ("final",) and self._final_is_features:
            return {"final": cast("Any", self.net).forward_features(inputs)}
        wanted = sorted({self._index[level] for level in levels if level != "final"})
        if not self._final_is_features:
            wanted = sorted({*wanted, len(cast("Any", self.net).feature_info) - 1})
        last, maps = cast("Any", self.net).forward_intermediates(
            inputs, indices=wanted, norm=not self._final_is_features
        )
        found = dict(zip(wanted, maps, strict=True))
        result = {level: found[self._index[level]] for level in levels if level != "final"}
        if "final" in levels:
            result["final"] = last if self._final_is_features else maps[-1]
        return result

    def _final_channels(self) -> int:
        """Probe once how many channels ``final`` has and which call gives it."""
        net = cast("Any", self.net)
        training = net.training
        with torch.no_grad():
            probe = net.eval().forward_features(self._probe())
        net.train(training)
        self._final_is_features = probe.ndim == 4 and probe.shape[1] == net.num_features
        return int(net.num_features)

    def _probe(self) -> Tensor:
        """An empty image of the model's own size, on the model's device."""
        config = cast("Any", self.net).pretrained_cfg or {}
        side = int(config.get("input_size", (3, 224, 224))[-1])
        weight = next(self.net.parameters(), None)
        return torch.zeros(1, 3, side, side, device=None if weight is None else weight.device)

    def _resolve(self, scheme: str | PixelScheme) -> PixelScheme:
        if isinstance(scheme, PixelScheme):
            return scheme
        if scheme == "caffe":
            return CAFFE
        cfg = cast("Any", self.net).pretrained_cfg
        if cfg is None:
            return IMAGENET
        return timm_scheme(cfg["mean"], cfg["std"])


def _timm(name: str, pretrained: bool) -> nn.Module:
    if not timm.is_model(name):
        raise ConfigError(
            unknown_name(
                "timm model", name, get_close_matches(name, timm.list_models(), n=8, cutoff=0)
            ),
            hint="timm.list_models() names them all",
        )
    # A classifier with random weights is of no use to anybody.
    classes = {} if pretrained else {"num_classes": 0}
    net: nn.Module = timm.create_model(name, pretrained=pretrained, **classes)
    return net


def _take_classifier(net: nn.Module) -> tuple[Tensor, Tensor] | None:
    """Remove a timm model's classifier and return its weights, if it is one linear layer."""
    model = cast("Any", net)
    layer = model.get_classifier()
    model.reset_classifier(0)
    if not isinstance(layer, nn.Linear) or layer.bias is None:
        return None
    return layer.weight.detach(), layer.bias.detach()


def _take_vgg_fc(net: nn.Module) -> dict[str, Tensor] | None:
    """Remove VGG's fc6 and fc7 from the feature extractor and return their weights."""
    block = getattr(net, "pre_logits", None)
    if not hasattr(block, "fc1") or not hasattr(block, "fc2"):
        return None
    block = cast("Any", block)
    weights = {
        "fc6.weight": block.fc1.weight.detach().flatten(1),
        "fc6.bias": block.fc1.bias.detach(),
        "fc7.weight": block.fc2.weight.detach().flatten(1),
        "fc7.bias": block.fc2.bias.detach(),
    }
    net.pre_logits = nn.Identity()
    return weights


def train_mode(module: nn.Module, *, statistics: bool) -> None:
    """Put a module into training mode.

    Args:
        module: What is trained.
        statistics: Let BatchNorm update its running statistics.
    """
    module.train()
    if not statistics:
        freeze_norm_statistics(module)


def freeze_norm_statistics(module: nn.Module) -> None:
    """Put every BatchNorm below `module` into evaluation mode (running statistics stay)."""
    for child in module.modules():
        if isinstance(child, nn.modules.batchnorm._BatchNorm):
            child.eval()


def as_backbone(backbone: Backbone | str | nn.Module) -> Backbone:
    """A backbone as it is; one with random weights of a timm name; one of a module of your own."""
    return backbone if isinstance(backbone, Backbone) else Backbone(backbone)
