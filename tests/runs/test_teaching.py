"""How the trained teacher teaches: online predictions, noise, region weights, hand-over."""

import pytest
import torch
from boxless.runs.training_steps import teacher_targets
from safetensors.torch import save_file

import tiny_vgg
from boxless.data.sources import load_manifest
from boxless.errors import ConfigError
from boxless.recipe.recipe_files import load_recipe
from boxless.runs import build
from boxless.runs.context import Run
from boxless.training.batches import Batch

K, R, VIEW = 3, 6, 96
SMALL = {
    "proposals.max_boxes": R, "teacher.backbone": tiny_vgg.NAME, "teacher.weights": "random",
    "teacher.input_size": VIEW, "teacher.hidden": 16, "teacher.regions": R, "stage1.regions": R,
    "student.backbone": tiny_vgg.NAME, "student.weights": "random", "student.input_size": 64,
    "student.hidden": 16, "student.resize_from": VIEW,
}  # fmt: skip


def recipe(name="coco-vgg16-released", **changed):
    found = {key.replace("__", "."): value for key, value in changed.items()}
    return load_recipe(name, {k: str(v) for k, v in (SMALL | found).items()})


def batch(seed=0):
    generator = torch.Generator().manual_seed(seed)
    low = torch.rand(2, R, 2, generator=generator) * 0.5
    boxes = torch.cat([low, low + 0.4], -1)
    return Batch(
        pixels=torch.randint(0, 256, (2, 3, VIEW, VIEW), generator=generator, dtype=torch.uint8),
        labels=torch.ones(2, K, dtype=torch.int8),
        index=torch.tensor([1, 0]),
        mirrored=torch.tensor([False, False]),
        boxes=boxes,
        whole_boxes=boxes,
        scores=torch.rand(2, R, generator=generator),
        mask=torch.ones(2, R, dtype=torch.bool),
        windows=torch.tensor([[0.0, 0.0, 1.0, 1.0]]).repeat(2, 1),
        everyone=torch.tensor([1, 0]),
    )


@pytest.fixture
def trained(tmp_path):
    """Weights of a teacher with something to say."""
    torch.manual_seed(1)
    teacher = build.detector(recipe(), K)
    teacher.backbone.net.load_state_dict(
        {k: v for k, v in tiny_vgg.state().items() if k.startswith("features")}
    )
    for layer in (teacher.heads[0].fc6, teacher.heads[0].fc7):
        torch.nn.init.kaiming_normal_(layer.weight)
    save_file(teacher.state_dict(), tmp_path / "teacher.safetensors")
    return tmp_path / "teacher.safetensors"


def test_region_weight_while_teaching(trained):
    """Section 8, row 10: trained with 1 + 10 score, teaching with 1 score."""
    for value, expected in (("trained", (10.0, 1.0)), ("released", (1.0, 0.0))):
        chosen = recipe(teaching__region_weight=value)
        teacher = build.teaching_detector(chosen, K, trained)
        assert (teacher.score_scale, teacher.score_bias) == expected
        plain = build.trained_detector(chosen, K, trained)
        assert (plain.score_scale, plain.score_bias) == (10.0, 1.0)
        assert not any(p.requires_grad for p in teacher.parameters())


def test_online_targets_are_the_teachers_softened_predictions(trained):
    chosen = recipe(teaching__dropout="false")
    teacher = build.teaching_detector(chosen, K, trained)
    found = build.online_targets(chosen, teacher)(batch())
    with torch.no_grad():
        pixels = batch().pixels.float()
        (output,) = teacher(pixels, batch().boxes, batch().scores, batch().mask)
    assert torch.equal(
        found, output.image_probabilities(class_temperature=0.5, region_temperature=0.5)
    )
    plain = build.online_targets(chosen, teacher, softened=False)(batch())
    assert torch.equal(plain, output.image_probabilities())  # Hinton softens them himself
    assert not torch.allclose(found, plain)


def test_hinton_and_class_aware_take_what_the_recipe_says(trained, tmp_path):
    chosen = recipe(teaching__dropout="false")
    run = Run(tmp_path, "scenes:", chosen, load_manifest("scenes:train=4,test=2,size=48"))
    vars(run)["classes"] = run.manifest.classes[:K]  # as many as the teacher was made for
    teacher = build.teaching_detector(chosen, K, trained)
    for softened in (True, False):
        targets, regions = teacher_targets(run, trained, tmp_path, softened=softened)
        expected = build.online_targets(chosen, teacher, softened=softened)(batch())
        torch.testing.assert_close(targets(batch()), expected)
        assert regions == R


def test_dropout_makes_online_targets_noisy(trained):
    quiet, noisy = recipe(teaching__dropout="false"), recipe()
    for chosen, same in ((quiet, True), (noisy, False)):
        targets = build.online_targets(chosen, build.teaching_detector(chosen, K, trained))
        assert torch.equal(targets(batch()), targets(batch())) == same


def test_stage_2_learns_from_online_targets_without_moving_the_teacher(trained):
    chosen = recipe()
    teacher = build.teaching_detector(chosen, K, trained)
    model = build.student(chosen, K)
    task = build.stage2_task(chosen, model, K, build.online_targets(chosen, teacher))
    task.train_mode()
    parts = task.losses(batch())
    parts["loss"].backward()
    assert float(parts["soft"].detach()) > 0
    assert (task.soft.scale.grad != 0).all()
    assert all(p.grad is None for p in teacher.parameters())
    assert teacher.heads[0].dropout.training  # the student's train_mode leaves it alone
    assert not any("teacher" in key or "heads" in key for key in task.module.state_dict())


@pytest.mark.parametrize(("name", "parts"), [("coco-vgg16", 0), ("coco-vgg16-released", 4)])
def test_stage_2_starts_from_what_stage_1_trained(tmp_path, name, parts):
    """Rows 1 and 13: the paper hands over convolutions, the code fc6 and fc7 too."""
    chosen = recipe(name)
    teacher = build.detector(chosen, K).eval().requires_grad_(requires_grad=False)
    first = build.student(chosen, K)
    task = build.region_task(chosen, first, teacher, torch.rand(2, R), None)
    with torch.no_grad():
        for parameter in task.module.parameters():
            parameter.add_(1.0)
    save_file(dict(task.module.state_dict()), tmp_path / "stage1.safetensors")
    second = build.student(chosen, K)
    before = {k: v.clone() for k, v in second.state_dict().items()}
    build.start_from_stage1(second, tmp_path / "stage1.safetensors")
    moved = {k for k, v in second.state_dict().items() if not torch.equal(v, before[k])}
    assert sum(k.startswith("backbone.") for k in moved) == 26
    assert sum(k.startswith("neck.") for k in moved) == parts
    assert not any(k.startswith("fc.") for k in moved)
    for key in moved:
        assert torch.equal(second.state_dict()[key], first.state_dict()[key])


def test_widths_of_fc7_must_agree():
    chosen = recipe(student__hidden=8)
    teacher, model = build.detector(chosen, K), build.student(chosen, K)
    with pytest.raises(ConfigError, match=r"teacher.hidden = 16.*student.hidden = 8"):
        build.region_task(chosen, model, teacher, torch.rand(2, R), None)


def test_other_widths_than_the_files_are_new_layers():
    """ImageNet's fc6 does not fit 8 units: they start anew and learn at the rate of new layers."""
    for hidden, pretrained in ((16, True), (8, False)):
        chosen = recipe(teacher__hidden=hidden, stage1__target='"conv"', teaching__dropout="false")
        teacher = build.detector(chosen, K)
        assert teacher.heads[0].pretrained == pretrained
        task = build.teacher_task(chosen, teacher, None, None)
        assert task.is_new("heads.0.fc6.weight") != pretrained
        assert task.is_new("heads.0.class_scores.weight")
