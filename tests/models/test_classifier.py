"""The student: its two heads, parameter count, VGG weights."""

import pytest
import torch
from torch import nn

from boxless.models.backbone import Backbone
from boxless.models.classifier import Classifier, vgg_neck


def test_gap_head_is_a_linear_layer_on_the_mean_map(resnet):
    model = Classifier(resnet, 7, head="gap", dropout=0.3).eval()
    pixels = torch.randint(0, 256, (2, 3, 64, 64)).float()
    with torch.no_grad():
        maps = resnet.net.forward_features(resnet.normalize(pixels))
        expected = maps.flatten(2).mean(-1) @ model.fc.weight.T + model.fc.bias
        torch.testing.assert_close(model(pixels), expected)
    assert (model.fc.bias == 0).all()


def test_dropout_acts_while_training_only(resnet):
    model = Classifier(resnet, 7, head="gap", dropout=0.5).eval()
    pixels = torch.rand(2, 3, 64, 64) * 255
    assert torch.equal(model(pixels), model(pixels))
    model.dropout.train()
    assert not torch.equal(model(pixels), model(pixels))


def test_parameters_of_the_papers_student():
    """Method 3: 134,588,304 with 80 classes."""
    with torch.device("meta"):
        model = Classifier(Backbone("vgg16"), 80, head="fc6_fc7", dropout=0.5)
        assert model(torch.zeros(1, 3, 224, 224)).shape == (1, 80)
    assert sum(p.numel() for p in model.parameters()) == 134_588_304


def test_student_resizes_its_input_with_aligned_corners(resnet):
    """Method 1.3: one tensor for teacher and student; also of normalised inputs, as exported."""
    model = Classifier(resnet, 7, head="gap", dropout=0.0, input_size=64).eval()
    plain = Classifier(resnet, 7, head="gap", dropout=0.0).eval()
    plain.load_state_dict(model.state_dict())
    pixels = torch.randint(0, 256, (2, 3, 96, 96)).float()
    small = nn.functional.interpolate(pixels, 64, mode="bilinear", align_corners=True)
    with torch.no_grad():
        torch.testing.assert_close(model(pixels), plain(small), atol=1e-4, rtol=1e-4)
        assert not torch.allclose(model(pixels), plain(pixels), atol=1e-4)
        assert torch.equal(model(small), plain(small))


def test_width_of_fc6_and_fc7(resnet):
    model = Classifier(resnet, 7, head="fc6_fc7", dropout=0.0, hidden=5).eval()
    assert [m.out_features for m in model.neck if isinstance(m, nn.Linear)] == [5, 5]
    assert model(torch.rand(1, 3, 64, 64) * 255).shape == (1, 7)


@pytest.mark.slow
def test_vgg_neck_is_fc6_relu_fc7_relu_on_channel_major_bins():
    """Stage 1's pooled regions (512, 7, 7) flatten as fc6 expects them: channel, row, column."""
    weights = {
        "fc6.weight": torch.randn(4096, 25_088) / 160,
        "fc6.bias": torch.randn(4096),
        "fc7.weight": torch.randn(4096, 4096) / 64,
        "fc7.bias": torch.randn(4096),
    }
    neck = vgg_neck(512, weights, 0.5).eval()
    maps = torch.randn(2, 512, 7, 7)
    with torch.no_grad():
        fc6 = nn.functional.conv2d(
            maps, weights["fc6.weight"].view(4096, 512, 7, 7), weights["fc6.bias"]
        ).relu()
        fc7 = (fc6.flatten(1) @ weights["fc7.weight"].T + weights["fc7.bias"]).relu()
        torch.testing.assert_close(neck(maps), fc7, atol=1e-3, rtol=1e-3)
