"""A VGG16 with 13 convolutions like the real one and hardly any channels; registered with timm."""

from unittest import mock

import timm
import torch
from timm.models import register_model, vgg
from torch import nn

NAME = "boxless_tiny_vgg"
WIDTHS = (4, 4, "M", 4, 4, "M", 6, 6, 6, "M", 8, 8, 8, "M", 8, 8, 8, "M")
HIDDEN = 16
FC = {"fc6": "pre_logits.fc1", "fc7": "pre_logits.fc2"}
TORCHVISION = {"pre_logits.fc1": "classifier.0", "pre_logits.fc2": "classifier.3"}


class TinyMlp(vgg.ConvMlp):
    def __init__(self, channels, width, *args, **kwargs):
        super().__init__(channels, HIDDEN, *args, **kwargs)


@register_model
def boxless_tiny_vgg(pretrained=False, **kwargs):
    with mock.patch.object(vgg, "ConvMlp", TinyMlp):
        net = vgg.VGG(list(WIDTHS), num_classes=kwargs.get("num_classes", 0))
    net.pretrained_cfg = {
        "input_size": (3, 64, 64),
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
    }
    return net


def state(seed=0):
    """timm's state dict of a tiny VGG whose features do not die out."""
    torch.manual_seed(seed)
    net = timm.create_model(NAME, num_classes=0)
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
            nn.init.normal_(module.bias, 0.1, 0.02)
    return {name: value.detach().clone() for name, value in net.state_dict().items()}


def caffe_layers(found):
    """(layer, [weight, bias]) of a timm state dict, fc6 and fc7 flat as in Caffe."""
    layers, block, count, place = [], 1, 0, 0
    for width in WIDTHS:
        if width == "M":
            block, count, place = block + 1, 0, place + 1
            continue
        count += 1
        names = [f"features.{place}.{part}" for part in ("weight", "bias")]
        layers.append((f"conv{block}_{count}", [found[n].numpy() for n in names]))
        place += 2
    for layer, name in FC.items():
        weight = found[f"{name}.weight"].flatten(1)
        layers.append((layer, [weight.numpy(), found[f"{name}.bias"].numpy()]))
    return layers


def torchvision_state(found):
    """A timm state dict under torchvision's names, with a classifier left over."""
    renamed = {"classifier.6.weight": torch.zeros(5, HIDDEN), "classifier.6.bias": torch.zeros(5)}
    for name, value in found.items():
        layer, _, part = name.rpartition(".")
        flat = layer in TORCHVISION and part == "weight"
        renamed[f"{TORCHVISION.get(layer, layer)}.{part}"] = value.flatten(1) if flat else value
    return renamed
