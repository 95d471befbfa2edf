"""How the trained teacher teaches: online predictions, noise, region weights, hand-over."""

from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

import tiny_vgg
from boxless.errors import ConfigError
from boxless.methods.class_aware import ClassAware
from boxless.methods.lessons import Lessons
from boxless.methods.regions import Regions
from boxless.methods.student_task import StudentTask
from boxless.methods.tags import Tags
from boxless.recipe.recipe_files import load_recipe
from boxless.runs import build
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
        teacher = build.teaching_teacher(chosen, K, trained)
        assert (teacher.score_scale, teacher.score_bias) == expected
        plain = build.trained_teacher(chosen, K, trained)
        assert (plain.score_scale, plain.score_bias) == (10.0, 1.0)
        assert not any(p.requires_grad for p in teacher.parameters())


def lessons(chosen, teacher, kept=None):
    return Lessons(
        VIEW,
        build.knowledge(chosen),
        teacher=teacher,
        kept=kept,
        along=chosen.teaching.along,
        dropout=chosen.teaching.dropout,
    )


def task(chosen, model, found, *kinds):
    terms = {kind.name: kind.of(chosen).build(model, found) for kind in kinds}
    return StudentTask(model, terms, found)


def test_online_targets_are_the_teachers_predictions(trained):
    """Softened for class-aware distillation; Hinton softens them himself."""
    chosen = recipe(teaching__dropout="false")
    teacher = build.teaching_teacher(chosen, K, trained)
    found = lessons(chosen, teacher)
    with torch.no_grad():
        pixels = batch().pixels.float()
        (output,) = teacher(pixels, batch().boxes, batch().scores, batch().mask)
    softened = output.image_probabilities(class_temperature=0.5, region_temperature=0.5)
    assert torch.equal(found.predictions(batch(), softened=True), softened)
    plain = found.predictions(batch(), softened=False)
    assert torch.equal(plain, output.image_probabilities())
    assert not torch.allclose(softened, plain)


def test_predictions_are_kept_ones_unless_the_recipe_says_online(trained):
    kept = SimpleNamespace(targets=torch.rand(2, K), probabilities=torch.rand(2, K))
    for predictions, same in (("cache", True), ("online", False)):
        chosen = recipe(teaching__dropout="false", teaching__predictions=predictions)
        found = lessons(chosen, build.teaching_teacher(chosen, K, trained), kept)
        for softened, table in ((True, kept.targets), (False, kept.probabilities)):
            given = found.predictions(batch(), softened=softened)
            assert torch.equal(given, table[batch().index]) == same


def test_dropout_makes_online_targets_noisy(trained):
    quiet, noisy = recipe(teaching__dropout="false"), recipe()
    for chosen, same in ((quiet, True), (noisy, False)):
        found = lessons(chosen, build.teaching_teacher(chosen, K, trained))
        one, two = (found.predictions(batch(), softened=True) for _ in range(2))
        assert torch.equal(one, two) == same


def test_class_aware_learns_from_online_targets_without_moving_the_teacher(trained):
    chosen = recipe()
    teacher = build.teaching_teacher(chosen, K, trained)
    model = build.student(chosen, K)
    made = task(chosen, model, lessons(chosen, teacher), Tags, ClassAware)
    made.train_mode()
    parts = made.losses(batch())
    parts["loss"].backward()
    assert float(parts["soft"].detach()) > 0
    assert (made.module["terms"]["class-aware"].scale.grad != 0).all()
    assert all(p.grad is None for p in teacher.parameters())
    assert teacher.heads[0].dropout.training  # the student's train_mode leaves it alone
    assert not any("teacher" in key or "heads" in key for key in made.module.state_dict())


@pytest.mark.parametrize(("name", "parts"), [("coco-vgg16", 0), ("coco-vgg16-released", 4)])
def test_the_first_phase_trains_what_it_hands_over(tmp_path, name, parts):
    """Rows 1 and 13: the paper hands over convolutions, the code fc6 and fc7 too."""
    chosen = recipe(name, stage1__adapter="conv1x1")
    teacher = build.detector(chosen, K).eval().requires_grad_(requires_grad=False)
    first = build.student(chosen, K)
    kept = SimpleNamespace(objectness=torch.rand(2, R))
    made = task(chosen, first, lessons(chosen, teacher, kept), Regions)
    made.losses(batch())["loss"].backward()
    trained = {k for k, p in first.named_parameters() if p.grad is not None}
    assert sum(k.startswith("backbone.") for k in trained) == 26
    assert sum(k.startswith("neck.") for k in trained) == parts
    assert not any(k.startswith("fc.") for k in trained)
    with torch.no_grad():
        for key, parameter in first.named_parameters():
            parameter.add_(float(key in trained))
    save_file(dict(made.module.state_dict()), tmp_path / "first.safetensors")
    second = build.student(chosen, K)
    build.start_from(second, tmp_path / "first.safetensors")
    for key, value in first.state_dict().items():
        assert torch.equal(second.state_dict()[key], value)


def test_widths_of_fc7_must_agree():
    chosen = recipe(student__hidden=8)
    teacher, model = build.detector(chosen, K), build.student(chosen, K)
    with pytest.raises(ConfigError, match=r"student: fc6_fc7 of width 8, teacher: .* width 16"):
        task(chosen, model, lessons(chosen, teacher), Regions)


def test_other_widths_than_the_files_are_new_layers():
    """ImageNet's fc6 does not fit 8 units: they start anew and learn at the rate of new layers."""
    for hidden, pretrained in ((16, True), (8, False)):
        chosen = recipe(teacher__hidden=hidden, stage1__target='"conv"', teaching__dropout="false")
        teacher = build.detector(chosen, K)
        assert teacher.heads[0].pretrained == pretrained
        task = build.teacher_task(chosen, teacher, None, None)
        assert task.is_new("heads.0.fc6.weight") != pretrained
        assert task.is_new("heads.0.class_scores.weight")
