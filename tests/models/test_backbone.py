"""Named levels of many architectures, normalisation, and where cells look."""

import pytest
import timm
import torch
from torch import nn

from boxless.errors import ConfigError
from boxless.models.backbone import Backbone, freeze_norm_statistics

TIMM = timm.create_model

SIDES = {"stride4", "stride8", "stride16", "stride32"}
CASES = [
    ("test_resnet", 64, SIDES),
    ("test_efficientnet", 64, SIDES),
    ("test_convnext", 64, SIDES),
    ("test_vit", 160, {"stride16"}),
    ("boxless_tiny_swin", 64, SIDES),
    ("tf_efficientnet_lite0", 64, SIDES),
]


@pytest.mark.parametrize(("name", "side", "expected"), CASES)
def test_levels(name, side, expected):
    backbone = Backbone(name).eval()
    assert expected <= set(backbone.levels)
    assert backbone.levels[-1] == "final"
    inputs = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    levels = (*sorted(expected), "final")
    with torch.no_grad():
        maps = backbone(inputs, levels)
        alone = backbone(inputs)["final"]
        one = backbone(inputs, (sorted(expected)[0],))
    assert set(maps) == set(levels)
    for level in expected:
        stride = int(level.removeprefix("stride"))
        shape = (2, backbone.channels(level), side // stride, side // stride)
        assert maps[level].shape == shape, level
    assert maps["final"].shape[:2] == (2, backbone.channels("final"))
    torch.testing.assert_close(maps["final"], alone)
    torch.testing.assert_close(one[sorted(expected)[0]], maps[sorted(expected)[0]])


def test_final_is_what_the_classifier_sees():
    """For convolutional networks, ``final`` is timm's own ``forward_features``."""
    for name in ("test_resnet", "test_convnext", "tf_efficientnet_lite0"):
        backbone = Backbone(name).eval()
        inputs = torch.randn(1, 3, 64, 64)
        with torch.no_grad():
            expected = backbone.net.forward_features(inputs)
            for levels in (("final",), ("stride16", "final")):
                torch.testing.assert_close(backbone(inputs, levels)["final"], expected)


@pytest.mark.parametrize("name", ["test_vit", "boxless_tiny_swin"])
def test_final_of_a_transformer_is_its_last_normalised_map(name):
    backbone = Backbone(name).eval()
    side = 160 if name == "test_vit" else 64
    inputs = torch.randn(1, 3, side, side)
    with torch.no_grad():
        tokens = backbone.net.forward_features(inputs)
        found = backbone(inputs)["final"]
    if name == "test_vit":
        tokens = tokens[:, backbone.net.num_prefix_tokens :]
    else:
        assert tokens.shape == (1, 2, 2, 128)  # Swin's NHWC
    expected = tokens.reshape(1, -1, found.shape[1]).transpose(1, 2).reshape(found.shape)
    torch.testing.assert_close(found, expected)


def test_vit_level_is_its_last_block():
    backbone = Backbone("test_vit").eval()
    inputs = torch.randn(1, 3, 160, 160)
    with torch.no_grad():
        found = backbone(inputs, ("stride16", "final"))
    torch.testing.assert_close(found["stride16"], found["final"])


def test_vgg_levels_are_conv3_3_conv4_3_conv5_3_after_relu():
    """The paper's levels, checked against the layers of VGG16 by position."""
    with torch.device("meta"):  # the 120 million weights of fc6 and fc7 are never made
        backbone = Backbone("vgg16").eval()
    backbone.to_empty(device="cpu")
    for parameter in backbone.parameters():
        nn.init.normal_(parameter, std=0.05)
    inputs = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        found = backbone(inputs, ("stride4", "stride8", "stride16", "final"))
        for level, last in (("stride4", 15), ("stride8", 22), ("stride16", 29)):
            layers = backbone.net.features[: last + 1]
            assert isinstance(layers[-1], nn.ReLU)
            torch.testing.assert_close(found[level], layers(inputs))
    assert found["stride16"].shape == (1, 512, 4, 4)
    torch.testing.assert_close(found["final"], nn.functional.max_pool2d(found["stride16"], 2))
    assert sum(p.numel() for p in backbone.parameters()) == 14_714_688
    assert backbone.vgg_fc["fc6.weight"].shape == (4096, 25_088)
    assert backbone.vgg_fc["fc7.weight"].shape == (4096, 4096)


def test_unknown_names_say_what_there_is(resnet):
    with pytest.raises(ConfigError, match="'resnet18'"):
        Backbone("resnet81")
    with pytest.raises(ConfigError, match="Did you mean 'stride16'"):
        resnet.channels("stride61")


def test_frozen_levels_are_all_that_a_map_is_made_of():
    """Steps of the optimiser leave the frozen level's map as it is, and change what follows."""
    backbone, level = Backbone("test_efficientnet"), "stride8"
    before = {k: v.clone() for k, v in backbone.state_dict().items()}
    with torch.no_grad():  # as where a trained student is only looked at
        backbone.freeze_to(level)
    assert backbone.training
    assert all(torch.equal(v, before[k]) for k, v in backbone.state_dict().items())
    free = [p for p in backbone.parameters() if p.requires_grad]
    assert free
    assert len(free) < len(list(backbone.parameters()))
    inputs = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    first = backbone.eval()(inputs, (level, "final"))
    with torch.no_grad():
        for parameter in free:
            parameter.add_(0.1)
    second = backbone(inputs, (level, "final"))
    assert torch.equal(first[level], second[level])
    assert not torch.equal(first["final"], second["final"])


def test_freezing_to_an_unknown_level_is_refused(resnet):
    with pytest.raises(ConfigError, match="Did you mean 'stride8'"):
        resnet.freeze_to("strid8")
    with pytest.raises(ConfigError, match="leaves nothing to train"):
        Backbone("test_vit").freeze_to("stride16")


def test_normalisation_is_timms(resnet):
    config = timm.create_model("test_resnet").pretrained_cfg
    pixels = torch.randint(0, 256, (2, 3, 4, 4)).float()
    mean, std = (torch.tensor(config[k]).view(1, 3, 1, 1) for k in ("mean", "std"))
    torch.testing.assert_close(resnet.normalize(pixels), (pixels / 255 - mean) / std)


def test_convention_caffe_pixels_are_bgr_minus_mean():
    """Method 1.2: B, G, R minus 103.52, 116.28, 123.675; no division."""
    backbone = Backbone("test_resnet", pixel_scheme="caffe")
    red = torch.tensor([200.0, 10.0, 20.0]).view(1, 3, 1, 1)
    found = backbone.normalize(red).flatten()
    torch.testing.assert_close(found, torch.tensor([20 - 103.52, 10 - 116.28, 200 - 123.675]))


def test_building_and_probing_leaves_norm_statistics_alone():
    backbone = Backbone("test_resnet")
    assert backbone.training
    for name, value in backbone.state_dict().items():
        if name.endswith("num_batches_tracked"):
            assert value == 0
        if name.endswith("running_mean"):
            assert (value == 0).all()


def test_frozen_statistics_stay(resnet):
    backbone = Backbone("test_resnet").train()
    freeze_norm_statistics(backbone)
    before = {k: v.clone() for k, v in backbone.named_buffers()}
    backbone(torch.randn(2, 3, 32, 32) + 3)
    for name, value in backbone.named_buffers():
        assert torch.equal(value, before[name]), name


@torch.no_grad()
def test_cells_of_trained_networks_look_at_their_middles(lite0):
    """What a mirrored picture is seen as, mirrored back, agrees best where it is not moved.

    Kernels of strided convolutions lie half a cell to the right, which moved maps by a whole cell
    against each other; training on mirrored pictures undoes it.
    """
    generator = torch.Generator().manual_seed(0)
    pixels = 40 * torch.randn(8, 3, 160, 160, generator=generator)
    for side in (5, 10, 20, 40):
        smooth = torch.randn(8, 3, side, side, generator=generator)
        pixels += 60 * torch.nn.functional.interpolate(smooth, size=160, mode="bilinear")
    pixels = (pixels + 120).clamp(0, 255)
    seen = lite0(lite0.normalize(pixels), ("final",))["final"]
    turned = lite0(lite0.normalize(pixels.flip(3)), ("final",))["final"].flip(3)
    seen, turned = (one - one.mean((0, 2, 3), keepdim=True) for one in (seen, turned))

    def agreement(moved):
        ours = seen[..., max(0, -moved) : 5 - max(0, moved)].flatten()
        theirs = turned[..., max(0, moved) : 5 - max(0, -moved)].flatten()
        return float(torch.cosine_similarity(ours, theirs, dim=0))

    assert agreement(0) > 0.5
    assert agreement(0) > 1.2 * max(agreement(1), agreement(-1))


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_vit"])
def test_the_classifier_of_pretrained_weights_is_kept_apart(name, monkeypatch):
    made = []

    def create(name, *, pretrained, **options):
        made.append(TIMM(name, pretrained=False, **options))
        return made[-1]

    monkeypatch.setattr("timm.create_model", create)
    backbone = Backbone(name, pretrained=True)
    weight, bias = backbone.classifier
    assert weight.shape == (len(bias), backbone.channels("final"))
    assert len(bias) > 1
    assert not any("classifier" in key or key.startswith("fc.") for key in backbone.state_dict())
    plain = Backbone(name)  # random weights bring no classifier of any use
    assert plain.classifier is None
    assert set(plain.net.state_dict()) == set(backbone.net.state_dict())
