"""Maps by ONNX Runtime are PyTorch's, whatever the threads, and travel to other processes."""

import pickle

import pytest
import torch

from boxless.errors import RunError
from boxless.models.backbone import Backbone
from boxless.models.quick_maps import quick_maps

LEVELS = ("stride16", "final")


@pytest.fixture(scope="module")
def backbone():
    torch.manual_seed(0)
    return Backbone("test_efficientnet").eval()


@pytest.fixture(scope="module")
def quick(backbone):
    return quick_maps(backbone, 64, LEVELS)


def pixels(images=5):
    drawn = torch.randint(0, 256, (images, 64, 64, 3), generator=torch.Generator().manual_seed(1))
    return drawn.to(torch.uint8).permute(0, 3, 1, 2)


@torch.no_grad()
def test_the_same_maps(backbone, quick):
    expected = backbone(backbone.normalize(pixels().float()), LEVELS)
    found = quick(pixels())
    assert found.keys() == expected.keys()
    for level in LEVELS:
        torch.testing.assert_close(found[level], expected[level], atol=1e-4, rtol=1e-4)


def test_the_same_bits_with_several_threads_and_from_elsewhere(quick):
    before = torch.get_num_threads()
    alone = quick(pixels())
    try:
        torch.set_num_threads(2)
        together = pickle.loads(pickle.dumps(quick))(pixels())
    finally:
        torch.set_num_threads(before)
    one = quick(pixels()[3:4])
    for level in LEVELS:
        assert torch.equal(alone[level], together[level])
        assert torch.equal(alone[level][3:4], one[level])


def test_a_network_that_comes_out_otherwise_is_refused(backbone, monkeypatch):
    wrong = quick_maps(Backbone("test_efficientnet").eval(), 64, LEVELS)  # other random weights
    monkeypatch.setattr("boxless.models.quick_maps._export", lambda *_: wrong)
    with pytest.raises(RunError, match="apart from PyTorch's"):
        quick_maps(backbone, 64, LEVELS)
