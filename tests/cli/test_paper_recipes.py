"""The paper's recipes from end to end through the real command, on a tiny VGG16 and few pictures.

Only sizes and counts are overridden; every choice of the paper or of the released code stays.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import tiny_vgg
from boxless.inference.predictor import Predictor
from boxless.models.pixels import CAFFE, IMAGENET
from boxless.recipe.recipe_files import load_recipe
from boxless.report.results import read_results
from caffe_files import write

SPEC = "scenes:train=30,test=8,size=64"
VIEW, SIDE = 96, 64
SMALL = {
    "proposals.method": "grid", "proposals.max_boxes": 12, "data.held_out": 0.2,
    "teacher.backbone": tiny_vgg.NAME, "teacher.input_size": VIEW, "teacher.hidden": 16,
    "teacher.regions": 12, "teacher.optim.epochs": 2, "teacher.optim.batch_size": 8,
    "teacher.optim.lr": 1e-4,
    "student.backbone": tiny_vgg.NAME, "student.input_size": SIDE, "student.hidden": 16,
    "student.resize_from": VIEW,
    "stage1.regions": 12, "stage1.optim.epochs": 1, "stage1.optim.batch_size": 8,
    "stage2.optim.epochs": 1, "stage2.optim.batch_size": 8, "stage2.optim.lr": 1e-3,
    "run.seeds": 1, "run.workers": 0, "run.threads": 1, "run.checkpoint_seconds": 0,
}  # fmt: skip
STATE = tiny_vgg.state()


@dataclass(frozen=True)
class Finished:
    """A finished run."""

    folder: Path

    def weights(self, step: str) -> dict[str, torch.Tensor]:
        return load_file(self.folder / step / "weights.safetensors")

    def facts(self, step: str) -> dict:
        return json.loads((self.folder / step / "step.json").read_text())["facts"]


def train(preloaded, folder, recipe, **changed) -> Finished:
    settings = SMALL | changed
    words = [word for key, value in settings.items() for word in (f"--{key}", str(value))]
    done = preloaded("train", SPEC, "--recipe", recipe, "--out", folder, *words)
    assert done.code == 0, done.err
    return Finished(folder)


@pytest.fixture(scope="module")
def paper(preloaded, tmp_path_factory) -> Finished:
    """``coco-vgg16`` with Caffe's weights and two levels."""
    folder = tmp_path_factory.mktemp("paper")
    # Caffe's pixels have a deviation of some 58, which its first layer makes up for.
    scaled = STATE | {"features.0.weight": STATE["features.0.weight"] / 58}
    model = write(folder / "tiny.caffemodel", tiny_vgg.caffe_layers(scaled), v1=True)
    files = {"teacher.weights": model, "student.weights": model}
    files |= {"teacher.optim.lr": 1e-6, "stage2.optim.lr": 1e-5}
    levels = {"stage1.levels": '["stride8", "stride16"]'}
    return train(preloaded, folder / "run", "coco-vgg16", **files, **levels)


@pytest.fixture(scope="module")
def released(preloaded, tmp_path_factory) -> Finished:
    """``coco-vgg16-released`` with torchvision's weights, and Hinton's distillation beside it."""
    folder = tmp_path_factory.mktemp("released")
    torch.save(tiny_vgg.torchvision_state(STATE), folder / "tiny.pth")
    files = {"teacher.weights": folder / "tiny.pth", "student.weights": folder / "tiny.pth"}
    return train(preloaded, folder / "run", "coco-vgg16-released", methods="hinton", **files)


def moved(found, prefix, initial):
    """Names of convolutions that training changed."""
    names = [n for n in initial if n.startswith("features.") and n.endswith("weight")]
    return [n for n in names if not torch.equal(found[f"{prefix}{n}"], initial[n])]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["paper", "released"])
def test_a_whole_run_ends_with_results_and_a_student(request, name):
    run = request.getfixturevalue(name)
    results = read_results(run.folder / "results.json")
    assert {"teacher", "plain", "regions"} <= set(results.variants)
    exported = run.facts("export")
    assert exported["largest_difference"] < 1e-4
    student = Predictor.load(run.folder / "export" / "student.onnx")
    scheme = CAFFE if name == "paper" else IMAGENET
    assert student.metadata.input_size == VIEW  # the network shrinks its input itself
    assert student.metadata.channels == scheme.channels
    assert student.metadata.mean == pytest.approx(scheme.mean)
    assert (run.folder / "report.html").exists()


@pytest.mark.slow
def test_stage_1_of_the_paper_trains_convolutions_alone(paper):
    found = paper.weights("features/regions/64px/seed-0")
    assert len(moved(found, "student.backbone.net.", STATE)) > 10
    fc6 = STATE["pre_logits.fc1.weight"].flatten(1)
    assert torch.equal(found["student.neck.2.weight"], fc6)
    second = paper.weights("students/regions/64px/seed-0")
    scale = second["terms.class-aware.scale"]
    assert torch.equal(scale, torch.full((len(scale),), 0.2))


@pytest.mark.slow
def test_the_released_code_trains_fc6_and_fc7_and_temperatures(released):
    found = released.weights("features/regions/64px/seed-0")
    assert len(moved(found, "student.backbone.net.", STATE)) > 10
    for name, place in (("pre_logits.fc1", 2), ("pre_logits.fc2", 5)):
        assert not torch.equal(
            found[f"student.neck.{place}.weight"], STATE[f"{name}.weight"].flatten(1)
        )
    scale = released.weights("students/regions/64px/seed-0")["terms.class-aware.scale"]
    assert (scale != 0.2).all()
    assert torch.allclose(scale, torch.tensor(0.2), atol=0.1)


@pytest.mark.slow
def test_hinton_too_asks_the_teacher_about_every_view(released):
    record = json.loads((released.folder / "students/hinton/64px/seed-0/step.json").read_text())
    assert record["settings"]["teaching.predictions"] == "online"
    assert "hinton" in read_results(released.folder / "results.json").variants


@pytest.mark.slow
@pytest.mark.parametrize("name", ["paper", "released"])
def test_training_starts_from_the_given_weights(request, name):
    """A few updates leave the direction of weights; a network that lost them would have another."""
    run = request.getfixturevalue(name)
    teacher, baseline = run.weights("teacher"), run.weights("students/plain/64px/seed-0")
    fc6 = STATE["pre_logits.fc1.weight"].flatten(1)
    for found, trunk, fc in (
        (teacher, "backbone.net.", "heads.0.fc6.weight"),
        (baseline, "student.backbone.net.", "student.neck.2.weight"),
    ):
        key = "features.28.weight"
        for value, initial in ((found[f"{trunk}{key}"], STATE[key]), (found[fc], fc6)):
            assert torch.cosine_similarity(value.ravel(), initial.ravel(), dim=0) > 0.9
            assert not torch.equal(value, initial)


@pytest.mark.slow
def test_both_arms_of_the_paper_have_the_same_number_of_updates(paper):
    variants = read_results(paper.folder / "results.json").variants
    updates = {name: variant.seeds[0].updates for name, variant in variants.items()}
    assert updates["plain"] == updates["regions"] == 6


def test_overrides_leave_the_choices_of_the_recipe_alone():
    """What the runs above prove is that of the recipes: only sizes and counts are changed."""
    allowed = (
        "proposals.", "data.held_out", ".backbone", ".input_size", ".hidden", ".regions", ".epochs",
        ".batch_size", ".lr", ".resize_from", "run.",
    )  # fmt: skip
    assert all(any(part in f"{key}" for part in allowed) for key in SMALL)
    for name in ("coco-vgg16", "coco-vgg16-released"):
        assert load_recipe(name).student.resize_from == load_recipe(name).teacher.input_size


def test_weights_convert_writes_once_and_says_what(tmp_path, app):
    path = write(tmp_path / "tiny.caffemodel", tiny_vgg.caffe_layers(STATE))
    out = tmp_path / "tiny.safetensors"
    done = app("weights", "convert", path, out, "--backbone", tiny_vgg.NAME)
    assert done.code == 0, done.err
    assert "with fc6 and fc7, pixels: caffe" in done.out
    found = load_file(out)
    assert all(torch.equal(found[name], value) for name, value in STATE.items())
    app("weights", "convert", path, out).refused("exists already")
    app("weights", "convert", path, tmp_path / "a.pth").refused("must end in .safetensors")


def test_a_caffe_model_of_another_network_is_refused_before_any_work(tmp_path, app):
    layers = [("conv1_1", [np.zeros((4, 3, 3, 3)), np.zeros(4)])]
    path = write(tmp_path / "short.caffemodel", layers)
    words = ["--teacher.backbone", tiny_vgg.NAME, "--teacher.weights", path]
    done = app("teacher", SPEC, "--recipe", "coco-vgg16", "--out", tmp_path / "run", *words)
    done.refused("teacher.backbone", "short.caffemodel has no layer 'conv1_2'")
    convs = write(tmp_path / "convs.caffemodel", tiny_vgg.caffe_layers(STATE)[:13])
    words[-1] = convs
    done = app("teacher", SPEC, "--recipe", "coco-vgg16", "--out", tmp_path / "run", *words)
    done.refused("holds no fc6 and fc7, which teacher.head = 'fc6_fc7' starts from")
