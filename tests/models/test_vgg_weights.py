"""VGG weights from Caffe, torchvision and timm end up the same, with the pixels they expect."""

import pytest
import timm
import torch
import torchvision
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch.nn import functional

import tiny_vgg
from boxless.errors import ConfigError
from boxless.models.backbone import Backbone
from boxless.models.pixels import CAFFE, IMAGENET
from boxless.models.vgg_weights import caffe_layers, take_fc
from boxless.models.weight_files import read_weight_file
from boxless.models.weights import build_backbone, convert
from caffe_files import write

STATE = tiny_vgg.state()
CAFFE_LAYERS = tiny_vgg.caffe_layers(STATE)


def source(folder, kind):
    """The same weights in a file of some kind."""
    if kind.startswith("caffe"):
        return write(folder / "tiny.caffemodel", CAFFE_LAYERS, v1=kind == "caffe-v1")
    if kind == "timm":
        save_file(STATE, folder / "tiny.safetensors")
        return folder / "tiny.safetensors"
    state = tiny_vgg.torchvision_state(STATE)
    if kind == "wrapped":
        state = {"epoch": 3, "state_dict": {f"module.{k}": v for k, v in state.items()}}
    torch.save(state, folder / "tiny.pth")
    return folder / "tiny.pth"


def build(path, scheme="auto"):
    return build_backbone(tiny_vgg.NAME, weights=str(path), pixel_scheme=scheme)


@pytest.mark.parametrize("kind", ["caffe", "caffe-v1", "timm", "torchvision", "wrapped"])
def test_every_source_gives_the_same_network(tmp_path, kind):
    backbone = build(source(tmp_path, kind))
    for name, value in backbone.net.state_dict().items():
        assert torch.equal(value, STATE[name]), name
    assert torch.equal(backbone.vgg_fc["fc6.weight"], STATE["pre_logits.fc1.weight"].flatten(1))
    assert torch.equal(backbone.vgg_fc["fc7.weight"], STATE["pre_logits.fc2.weight"].flatten(1))
    assert torch.equal(backbone.vgg_fc["fc7.bias"], STATE["pre_logits.fc2.bias"])
    assert backbone.scheme == (CAFFE if kind.startswith("caffe") else IMAGENET)


def test_a_caffe_network_computes_what_caffe_would(tmp_path):
    """Its own layers, one by one, on BGR pixels minus the mean."""
    backbone = build(source(tmp_path, "caffe")).eval()
    pixels = torch.randint(0, 256, (1, 3, 32, 32)).float()
    data = torch.stack([pixels[:, c] for c in (2, 1, 0)], 1)
    data = data - torch.tensor([103.52, 116.28, 123.675]).view(1, 3, 1, 1)
    block = "1"
    for layer, (weight, bias) in CAFFE_LAYERS[:13]:
        if layer[4] != block:
            block, data = layer[4], functional.max_pool2d(data, 2)
        data = functional.conv2d(data, torch.tensor(weight), torch.tensor(bias), padding=1).relu()
    with torch.no_grad():
        found = backbone(backbone.normalize(pixels), ("stride16",))["stride16"]
    torch.testing.assert_close(found, data)
    assert float(data.abs().max()) > 0


def test_names_and_shapes_of_the_real_vgg16():
    """On no memory at all: Caffe's names, torchvision's state dict, timm's fc6 and fc7."""
    with torch.device("meta"):
        backbone = Backbone("vgg16")
        theirs = dict(torchvision.models.vgg16().state_dict())
        own = dict(timm.create_model("vgg16").state_dict())
    layers = caffe_layers(backbone.net)
    assert list(layers)[:3] == ["conv1_1", "conv1_2", "conv2_1"]
    assert list(layers)[-3:] == ["conv5_1", "conv5_2", "conv5_3"]
    assert len(layers) == 13
    for state in (theirs, own):
        fc = take_fc(state, backbone.vgg_fc, where="here")
        assert {k: v.shape for k, v in fc.items()} == {
            "fc6.weight": (4096, 25_088), "fc6.bias": (4096,),
            "fc7.weight": (4096, 4096), "fc7.bias": (4096,),
        }  # fmt: skip
        left = {k: v.shape for k, v in state.items() if k.startswith("features")}
        assert left == {k: v.shape for k, v in backbone.net.state_dict().items()}


def without(layer):
    return [entry for entry in CAFFE_LAYERS if entry[0] != layer]


def changed(layer, *blobs):
    return [(name, list(blobs) if name == layer else old) for name, old in CAFFE_LAYERS]


@pytest.mark.parametrize(
    ("layers", "text"),
    [
        (without("conv3_2"), "has no layer 'conv3_2'; its layers with weights are conv1_1"),
        (without("fc7"), "has no layer 'fc7'"),
        (
            changed("conv4_1", torch.zeros(8, 6, 5, 5).numpy(), torch.zeros(8).numpy()),
            r"conv4_1 \(weight\) has the shape \(8, 6, 5, 5\), the model needs \(8, 6, 3, 3\)",
        ),
        (
            changed("conv4_1", torch.zeros(8, 6, 3, 3).numpy(), torch.zeros(9).numpy()),
            r"conv4_1 \(bias\) has the shape \(9,\), the model needs \(8,\)",
        ),
        (
            changed("fc6", torch.zeros(16, 100).numpy(), torch.zeros(16).numpy()),
            r"fc6.weight has the shape \(16, 100\), the model needs \(16, 392\)",
        ),
        (changed("conv1_2", torch.zeros(4, 4, 3, 3).numpy()), "'conv1_2' has 1 blobs"),
    ],
)
@pytest.mark.parametrize("v1", [False, True])
def test_other_caffe_networks_are_refused(tmp_path, layers, text, v1):
    path = write(tmp_path / "other.caffemodel", layers, v1=v1)
    with pytest.raises(ConfigError, match=text) as caught:
        build(path)
    assert "other.caffemodel" in str(caught.value)


def test_a_caffe_model_is_for_vgg(tmp_path):
    path = source(tmp_path, "caffe")
    with pytest.raises(ConfigError, match=r"only VGG's are read.*test_resnet"):
        build_backbone("test_resnet", weights=str(path), pixel_scheme="auto")


def test_fc6_without_fc7_is_refused(tmp_path):
    state = tiny_vgg.torchvision_state(STATE)
    del state["classifier.3.bias"]
    torch.save(state, tmp_path / "half.pth")
    with pytest.raises(ConfigError, match=r"half.pth lacks fc7.bias.*\(16,\)"):
        build(tmp_path / "half.pth")


def test_convolutions_alone_leave_no_fc(tmp_path):
    path = write(tmp_path / "convs.caffemodel", CAFFE_LAYERS[:13])
    backbone = build(path)
    assert backbone.is_vgg
    assert backbone.vgg_fc is None


class Surprise:
    def __reduce__(self):
        return print, ("code that a weight file must never run",)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (Surprise(), "holds more than tensors"),
        ([torch.zeros(2)], "holds no state dict"),
        ({"epoch": 3}, "holds no state dict"),
    ],
)
def test_archives_hold_tensors_alone(tmp_path, capsys, content, text):
    torch.save(content, tmp_path / "odd.pth")
    with pytest.raises(ConfigError, match=text):
        build(tmp_path / "odd.pth")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("kept", [0, 30, -200])
def test_damaged_archives(tmp_path, kept):
    path = source(tmp_path, "torchvision")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ConfigError, match=r"tiny\.pth"):
        build(path)


def test_pixels_belong_to_the_file(tmp_path):
    path = source(tmp_path, "caffe")
    assert build(path, "caffe").scheme == CAFFE
    with pytest.raises(ConfigError, match=r"'timm', but.*expect 'caffe' pixels \(BGR"):
        build(path, "timm")
    assert build(source(tmp_path, "torchvision"), "caffe").scheme == CAFFE


@pytest.mark.parametrize(
    ("kind", "pixels", "stated"),
    [("caffe", "", "caffe"), ("torchvision", "", ""), ("torchvision", "caffe", "caffe")],
)
def test_converted_files_keep_weights_and_pixels(tmp_path, kind, pixels, stated):
    target = tmp_path / "out.safetensors"
    told = convert(source(tmp_path, kind), target, backbone=tiny_vgg.NAME, pixels=pixels)
    assert told["fc"]
    assert told["pixels"] == stated
    assert told["parameters"] == sum(v.numel() for v in STATE.values())
    found = load_file(target)
    assert set(found) == set(STATE)
    assert all(torch.equal(found[name], STATE[name]) for name in STATE)
    backbone = build(target)
    assert backbone.scheme == (CAFFE if stated else IMAGENET)
    assert torch.equal(backbone.vgg_fc["fc6.bias"], STATE["pre_logits.fc1.bias"])
    if stated:
        with pytest.raises(ConfigError, match="expect 'caffe' pixels"):
            build(target, "timm")


def test_a_source_is_not_told_other_pixels(tmp_path):
    with pytest.raises(ConfigError, match="expects 'caffe' pixels, not 'imagenet'"):
        convert(source(tmp_path, "caffe"), tmp_path / "x", backbone="vgg16", pixels="imagenet")
    with pytest.raises(ConfigError, match=r"unknown pixel scheme 'bgr'.*caffe, imagenet"):
        convert(source(tmp_path, "caffe"), tmp_path / "x", backbone="vgg16", pixels="bgr")


def test_an_unknown_scheme_in_a_file(tmp_path):
    save_file(STATE, tmp_path / "a.safetensors", {"boxless.pixel_scheme": "hsv"})
    with safe_open(tmp_path / "a.safetensors", "pt") as file:
        assert file.metadata()
    with pytest.raises(ConfigError, match="unknown pixel scheme 'hsv'"):
        read_weight_file(tmp_path / "a.safetensors")
