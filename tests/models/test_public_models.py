"""Models as a user's loop builds them: a timm name, a backbone, or a module of one's own."""

import pytest
import torch
from torch import nn

from boxless.errors import ConfigError, DataError, ShapeError
from boxless.losses import detector_loss
from boxless.models import Backbone, Classifier, WeaklySupervisedDetector
from boxless.models.pixels import PixelScheme


def own_net():
    """Two halvings."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 2, stride=2), nn.ReLU(), nn.Conv2d(8, 12, 3, stride=2, padding=1), nn.ReLU()
    )


def pixels(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (2, 3, 64, 64), generator=generator).float()


def test_a_module_of_ones_own_is_a_backbone():
    net = own_net()
    backbone = Backbone(net, pixel_scheme=PixelScheme((10.0, 20.0, 30.0), (2.0, 2.0, 2.0)))
    assert backbone.levels == ["stride4", "final"]
    assert [backbone.channels(level) for level in backbone.levels] == [12, 12]
    assert backbone.stride("final") == 4
    inputs = backbone.normalize(pixels())
    torch.testing.assert_close(
        inputs, (pixels() - torch.tensor([10.0, 20, 30]).view(1, 3, 1, 1)) / 2
    )
    found = backbone(inputs, ("stride4", "final"))
    assert torch.equal(found["final"], net(inputs))
    assert torch.equal(found["stride4"], found["final"])


@pytest.mark.parametrize("training", [True, False])
def test_its_state_is_left_alone(training):
    net = nn.Sequential(nn.Conv2d(3, 4, 4, stride=4), nn.BatchNorm2d(4)).train(training)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    Backbone(net)
    assert net.training == training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (nn.Flatten(), r"expected a map \(1, C, h, w\), found \(1, 150528\)"),
        (nn.Conv2d(4, 8, 3), "it fails on a tensor of"),
    ],
)
def test_what_is_no_backbone(net, message):
    with pytest.raises(ConfigError, match=message):
        Backbone(net)


@pytest.mark.parametrize("build", [lambda: "test_resnet", lambda: Backbone("test_resnet"), own_net])
def test_student_and_teacher_learn_on_any_backbone(build):
    student, teacher = Classifier(build(), 3), WeaklySupervisedDetector(build(), 3, bins=2)
    boxes = torch.tensor([[[0.0, 0, 1, 1], [0.2, 0.1, 0.6, 0.9]]] * 2)
    student(pixels()).sum().backward()
    output = teacher(pixels(), boxes)
    detector_loss(output.image_probabilities(), torch.tensor([[1, 0, -1]] * 2)).backward()
    for model in (student, teacher):
        assert any(
            p.grad is not None and p.grad.abs().sum() > 0 for p in model.backbone.parameters()
        )


def test_detector_takes_pixel_boxes_of_the_original_picture():
    teacher = WeaklySupervisedDetector("test_resnet", 3, level="stride16").eval()
    unit = torch.tensor([[[0.0, 0, 1, 1], [0.25, 0.1, 0.75, 0.9]]] * 2)
    drawn = unit * torch.tensor([640.0, 480, 640, 480])
    expected = teacher(pixels(), unit).region_scores()
    torch.testing.assert_close(
        teacher(pixels(), drawn, image_size=(480, 640)).region_scores(), expected
    )
    with pytest.raises(DataError, match="pass image_size"):
        teacher(pixels(), drawn)


def test_detector_leaves_padding_out():
    teacher = WeaklySupervisedDetector("test_resnet", 3).eval()
    boxes = torch.tensor([[[0.0, 0, 1, 1], [0.25, 0.1, 0.75, 0.9]]] * 2)
    padded = torch.cat([boxes, torch.full((2, 1, 4), 1e6)], 1)
    mask = torch.tensor([[True, True, False]] * 2)
    found = teacher(pixels(), padded, mask=mask).region_scores()
    torch.testing.assert_close(found[:, :2], teacher(pixels(), boxes).region_scores())
    assert (found[:, 2] == 0).all()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"pixels": torch.zeros(2, 3, 64, 96)}, r"pixels must be \(images, 3, S, S\)"),
        ({"boxes": torch.zeros(2, 4)}, r"boxes must be \(2 images, regions, 4\)"),
        ({"mask": torch.ones(2, 7)}, r"mask must be \(2, 1\)"),
    ],
)
def test_wrong_shapes(changed, message):
    teacher = WeaklySupervisedDetector("test_resnet", 3)
    call = {"pixels": pixels(), "boxes": torch.tensor([[[0.0, 0, 1, 1]]] * 2)}
    with pytest.raises(ShapeError, match=message):
        teacher(**{**call, **changed})
