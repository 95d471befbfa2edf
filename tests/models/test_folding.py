"""Folded networks compute the same function, and say so where they cannot."""

import pytest
import torch
from torch import nn

from boxless.errors import ConfigError
from boxless.models.backbone import Backbone
from boxless.models.folding import fold_batch_norms, last_convolution


def with_statistics(name):
    """A backbone whose BatchNorms do something."""
    torch.manual_seed(0)
    backbone = Backbone(name).eval()
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.2)
    return backbone


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "tf_efficientnet_lite0"])
def test_same_function_at_every_level(name):
    backbone = with_statistics(name)
    inputs = torch.randn(2, 3, 64, 64)
    levels = tuple(backbone.levels)
    with torch.no_grad():
        before = backbone(inputs, levels)
        fold_batch_norms(backbone)
        after = backbone(inputs, levels)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in backbone.modules())
    for level in levels:
        scale = float(before[level].abs().max())
        torch.testing.assert_close(after[level], before[level], atol=1e-4 * scale, rtol=1e-3)


def test_folded_training_is_evaluation():
    """No BatchNorm is left to behave otherwise in training mode."""
    backbone = with_statistics("test_efficientnet")
    fold_batch_norms(backbone)
    inputs = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(
            backbone.train()(inputs)["final"], backbone.eval()(inputs)["final"]
        )


def test_networks_without_batch_norm_say_so():
    with pytest.raises(ConfigError, match="cannot be folded"):
        fold_batch_norms(Backbone("test_convnext"))


def test_last_convolution_makes_the_final_map(lite0):
    backbone = with_statistics("test_efficientnet")
    fold_batch_norms(backbone)
    conv = last_convolution(backbone)
    seen = []
    conv.register_forward_hook(lambda *call: seen.append(call[2]))
    with torch.no_grad():
        final = backbone(torch.randn(1, 3, 64, 64))["final"]
    assert seen[0].shape == final.shape
    with pytest.raises(ConfigError, match="no folded convolution"):
        last_convolution(Backbone("test_efficientnet"))
