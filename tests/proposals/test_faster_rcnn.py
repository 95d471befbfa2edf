import pickle

import numpy as np
import pytest
import torch
from proposal_pictures import picture
from safetensors.torch import save_file
from torchvision.models import detection

from boxless.errors import ConfigError
from boxless.proposals.checks import check_proposals
from boxless.proposals.faster_rcnn import FasterRcnn, detect, load_network
from boxless.proposals.proposer import make_proposer
from boxless.types import Proposals

TINY = "fasterrcnn_mobilenet_v3_large_320_fpn"


@pytest.fixture(scope="module")
def state():
    """A random network of three classes."""
    torch.manual_seed(0)
    network = getattr(detection, TINY)(weights=None, weights_backbone=None, num_classes=3)
    return network.state_dict()


@pytest.fixture(scope="module")
def weights(state, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_file(state, path)
    return str(path)


@pytest.fixture(scope="module")
def image():
    return picture(2, 120, 90)[0]


def proposer(weights, **options):
    return make_proposer(
        "faster_rcnn", weights=weights, architecture=TINY, **{"max_boxes": 60, "size": 96} | options
    )


def test_boxes_are_usable_and_repeat(weights, image):
    boxes, scores = proposer(weights)(image)
    check_proposals(Proposals(boxes, scores, 120, 90), "picture")
    assert 50 <= len(boxes) <= 60
    assert (np.diff(scores) <= 0).all()
    again = proposer(weights)(image)
    np.testing.assert_array_equal(boxes, again[0])
    np.testing.assert_array_equal(scores, again[1])


def test_detections_equal_torchvisions_own(weights, image):
    network = load_network(TINY, weights, 96, 60)
    network.roi_heads.score_thresh = 0.0
    with torch.inference_mode():
        (expected,) = network([torch.from_numpy(image).permute(2, 0, 1) / 255])
    boxes, scores = detect(network, image)
    network.roi_heads.score_thresh = 0.05
    count = len(expected["boxes"])
    assert 0 < count < len(boxes)  # the region proposals follow
    np.testing.assert_allclose(boxes[:count], expected["boxes"], atol=1e-3)
    np.testing.assert_allclose(scores[:count], expected["scores"], atol=1e-6)
    assert (np.diff(scores) <= 0).all()
    assert scores[-1] > 0


def test_weights_count_not_their_path(weights, tmp_path, state):
    copy = tmp_path / "copy.safetensors"
    save_file(state, copy)
    assert proposer(weights).settings == proposer(str(copy)).settings
    other = tmp_path / "other.safetensors"
    save_file({k: v + 1 if v.is_floating_point() else v for k, v in state.items()}, other)
    assert proposer(weights).settings != proposer(str(other)).settings


def test_torch_archive_with_tensors_only(state, tmp_path, weights, image):
    path = tmp_path / "tiny.pth"
    torch.save(state, path)
    np.testing.assert_array_equal(proposer(str(path))(image)[0], proposer(weights)(image)[0])


class Evil:
    def __reduce__(self):
        return (print, ("code ran",))


def test_code_in_weights_is_not_run(tmp_path, image, capsys):
    path = tmp_path / "evil.pth"
    torch.save({"a": Evil()}, path)
    with pytest.raises(ConfigError, match="holds more than tensors"):
        proposer(str(path))(image)
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ConfigError, match="holds more than tensors"):
        proposer(str(path))(image)
    assert "code ran" not in capsys.readouterr().out


def test_weights_of_another_network(weights, state, tmp_path, image):
    other = make_proposer(
        "faster_rcnn", weights=weights, architecture="fasterrcnn_mobilenet_v3_large_fpn"
    )
    assert len(other(image)[0]) >= 50  # the same tensors, another input: these two share weights
    with pytest.raises(ConfigError, match="does not fit fasterrcnn_resnet50_fpn: "):
        make_proposer("faster_rcnn", weights=weights)(image)
    path = tmp_path / "classifier.safetensors"
    save_file({"fc.weight": torch.zeros(2, 2)}, path)
    with pytest.raises(ConfigError, match="expected a Faster R-CNN"):
        proposer(str(path))(image)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": ""}, "needs its weights as a file, found none given"),
        ({"weights": "nowhere.pth"}, "no such file 'nowhere.pth'"),
        ({"weights": "", "architecture": "fasterrcnn_resnet"}, "Did you mean 'fasterrcnn_resnet"),
    ],
)
def test_wrong_values(options, message):
    with pytest.raises(ConfigError, match=message):
        FasterRcnn(**options)
