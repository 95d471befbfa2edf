"""Folders in the Hub's layout: read by us and by timm, the same logits everywhere."""

import json

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from test_folding import with_statistics

from boxless.errors import ConfigError
from boxless.models.backbone import Backbone
from boxless.models.classifier import Classifier
from boxless.models.folding import fold_batch_norms
from boxless.models.pixels import CAFFE, LITE_WHEEL

CLASSES = ("cat", "dog", "cow")


def student(name, *, fold=False, head="gap", scheme=None, **options):
    backbone = with_statistics(name)
    if fold:
        fold_batch_norms(backbone)
    if scheme is not None:
        backbone.set_pixel_scheme(scheme)
    return Classifier(backbone, len(CLASSES), head=head, dropout=0.1, **options).eval()


def saved(model, folder, **about):
    whole = model.save_pretrained(folder, classes=CLASSES, input_size=64, about=about)
    return whole, Classifier.from_pretrained(folder)


@torch.no_grad()
def logits(model, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return model(torch.rand(2, 3, 64, 64, generator=generator) * 255)


def close(a, b):
    torch.testing.assert_close(a, b, atol=1e-4 * float(a.abs().max()), rtol=1e-3)


@pytest.mark.parametrize("fold", [False, True])
@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet"])
def test_round_trip_and_plain_timm(tmp_path, name, fold):
    model = student(name, fold=fold, scheme=LITE_WHEEL)
    whole, again = saved(model, tmp_path)
    assert whole
    close(logits(model), logits(again))
    assert again.class_names == CLASSES
    assert again.backbone.scheme == LITE_WHEEL
    assert not again.training

    backbone = timm.create_model(name, num_classes=0).eval()
    state = load_file(tmp_path / "model.safetensors")
    own = {key: state[key] for key in backbone.state_dict()}
    backbone.load_state_dict(own)
    inputs = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        close(model.backbone(inputs)["final"], backbone.forward_features(inputs))

    everything = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    with torch.no_grad():
        close(model.forward_inputs(inputs), everything(inputs))
    assert everything.num_classes == 3
    assert everything.pretrained_cfg["crop_mode"] == "squash"
    assert everything.pretrained_cfg["mean"] == pytest.approx([127 / 255] * 3)


def test_heads_that_timm_does_not_know(tmp_path):
    model = student("test_resnet", head="fc6_fc7", hidden=16, scheme=CAFFE, input_size=32)
    whole, again = saved(model, tmp_path)
    assert not whole
    close(logits(model), logits(again))
    assert again.backbone.scheme == CAFFE
    state = load_file(tmp_path / "model.safetensors")
    backbone = timm.create_model("test_resnet", num_classes=0)
    missing = backbone.load_state_dict(state, strict=False).missing_keys
    assert not missing


def test_config_is_for_timm_and_for_people(tmp_path):
    saved(student("test_resnet"), tmp_path, thresholds=[0.1, 0.2, 0.3])
    config = json.loads((tmp_path / "config.json").read_text("utf-8"))
    assert config["architecture"] == "test_resnet"
    assert config["label_names"] == list(CLASSES)
    assert config["boxless"]["thresholds"] == [0.1, 0.2, 0.3]


def test_errors(tmp_path):
    model = student("test_resnet")
    with pytest.raises(ConfigError, match="3 classes, but 1 names"):
        model.save_pretrained(tmp_path, classes=("cat",), input_size=64)
    with pytest.raises(ConfigError, match=r"config\.json cannot be read"):
        Classifier.from_pretrained(tmp_path)
    saved(model, tmp_path)
    text = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(text.replace('"gap"', '"cap"'))
    with pytest.raises(ConfigError, match=r"boxless\.head is wrong"):
        Classifier.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(text)
    save_file({"conv1.weight": torch.zeros(2)}, tmp_path / "model.safetensors")
    with pytest.raises(ConfigError, match="do not fit"):
        Classifier.from_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"no")
    with pytest.raises(ConfigError, match="not a readable safetensors"):
        Classifier.from_pretrained(tmp_path)


class TestEvidence:
    def test_mean_is_the_logit(self):
        model = student("test_resnet", fold=True)
        with torch.no_grad():
            maps = torch.rand(2, model.fc.in_features, 3, 5)
            close(model.classify(maps), model.evidence(maps).mean((2, 3)))

    @pytest.mark.parametrize("head", ["gap", "fc6_fc7"])
    def test_a_cell_is_the_logit_of_a_map_of_such_cells(self, head):
        model = student("test_resnet", head=head, hidden=16)
        with torch.no_grad():
            maps = torch.randn(1, model.backbone.channels("final"), 2, 3)
            found = model.evidence(maps)
            for y in range(2):
                for x in range(3):
                    cell = maps[:, :, y : y + 1, x : x + 1].expand(-1, -1, 7, 7)
                    close(model.classify(cell)[0], found[0, :, y, x])


def test_unfolding_leaves_other_networks_alone(tmp_path):
    model = Classifier(Backbone("test_resnet"), 3, head="gap", dropout=0.0)
    saved(model, tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    for name, tensor in model.backbone.net.state_dict().items():
        assert torch.equal(state[name], tensor)
