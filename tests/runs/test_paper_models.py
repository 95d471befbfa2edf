"""The recipes of the paper make the paper's models, rates and views; nothing is ever computed."""

import pytest
import torch

from boxless.methods.class_aware import ClassAware
from boxless.methods.lessons import Lessons
from boxless.methods.regions import Regions
from boxless.methods.student_task import StudentTask
from boxless.methods.tags import Tags
from boxless.recipe.recipe_files import load_recipe
from boxless.runs import build
from boxless.runs.phases import phases_of, updates
from boxless.runs.variant import variants
from boxless.training.optimization import build_optimizer

RECIPES = ("coco-vgg16", "coco-vgg16-released", "nuswide-vgg16")
OFFLINE = {"teacher.weights": "random", "student.weights": "random"}


@pytest.fixture(scope="module")
def models():
    """Teacher and student at 80 classes, without memory."""
    recipe = load_recipe("coco-vgg16", OFFLINE)
    with torch.device("meta"):
        return recipe, build.detector(recipe, 80), build.student(recipe, 80)


def task_of(recipe, student, teacher, *kinds):
    lessons = Lessons(
        672, build.knowledge(recipe), teacher=teacher, dropout=recipe.teaching.dropout
    )
    terms = {kind.name: kind.of(recipe).build(student, lessons) for kind in kinds}
    return StudentTask(student, terms, lessons)


def view_of_stage_1(recipe):
    """The teacher sees the views of the first phase, so they have its input size."""
    first, _ = phases_of(recipe, variants(recipe)[1])
    assert first.needs.along
    return recipe.teacher.input_size


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_parameter_counts_are_those_of_the_paper(models):
    """Method 2.1 and 3."""
    _, teacher, student = models
    assert count(teacher) == 134_916_064
    assert count(student) == 134_588_304
    assert count(teacher.backbone) == count(student.backbone) == 14_714_688
    assert count(teacher.heads[0].fc6) == 102_764_544
    assert count(teacher.heads[0].fc7) == 16_781_312
    assert count(teacher.heads[0].class_scores) == count(teacher.heads[0].region_scores) == 327_760


@pytest.mark.parametrize("name", RECIPES)
def test_all_recipes_of_the_paper_share_models_and_views(name):
    recipe, first = load_recipe(name), load_recipe("coco-vgg16")
    assert build.teacher_sizes(recipe) == (480, 576, 672, 736, 832)
    assert variants(recipe)[0].view_size == view_of_stage_1(recipe) == 672
    assert recipe.student == first.student
    assert recipe.teacher == first.teacher
    assert (recipe.teacher.score_scale, recipe.teacher.score_bias) == (10.0, 1.0)
    schedules = {recipe.teacher.optim.schedule, recipe.stage1.optim.schedule}
    assert schedules | {recipe.stage2.optim.schedule} == {"plateau"}
    assert recipe.data.held_out > 0


def rates(module, task, settings):
    """Parameter name -> (learning rate, weight decay) relative to the base values."""
    optimizer = build_optimizer(module, settings, task.is_new)
    names = {id(p): n for n, p in module.named_parameters()}
    return {
        names[id(p)]: (group["factor"], round(group["weight_decay"] / 5e-4, 6))
        for group in optimizer.param_groups
        for p in group["params"]
    }


def test_rates_of_the_teacher(models):
    """Method 2.3: x1 x1, biases x2 x0; fc8_c and fc8_d x10 x10, their biases x20 x0."""
    recipe, teacher, _ = models
    task = build.teacher_task(recipe, teacher, None, None)
    found = rates(task.module, task, build.optim_settings(recipe.teacher.optim))
    assert len(found) == 2 * (13 + 2 + 2)
    for name, value in found.items():
        new, bias = "_scores" in name, name.endswith("bias")
        assert value == (
            (20, 0) if new and bias else (10, 10) if new else (2, 0) if bias else (1, 1)
        )


def test_rates_of_stage_2_and_its_learned_temperature():
    """kd/train_stage2.prototxt: fc8 as in the teacher, the Scale layer x10 without decay."""
    recipe = load_recipe("coco-vgg16-released", OFFLINE)
    with torch.device("meta"):
        task = task_of(recipe, build.student(recipe, 80), None, Tags, ClassAware)
    found = rates(task.module, task, build.optim_settings(recipe.stage2.optim))
    assert found["terms.class-aware.scale"] == (10, 0)
    assert found["student.fc.weight"] == (10, 10)
    assert found["student.fc.bias"] == (20, 0)
    assert found["student.neck.2.weight"] == (1, 1)
    assert found["student.backbone.net.features.0.bias"] == (2, 0)
    assert len(found) == 2 * (13 + 3) + 1


def test_rates_of_stage_1(models):
    """Convolutions, and fc6 and fc7 where they are trained, at the rate of pretrained layers."""
    recipe, teacher, student = models
    with torch.device("meta"):
        paper = task_of(recipe, student, teacher, Regions)
        released = task_of(load_recipe("coco-vgg16-released"), student, teacher, Regions)
    assert released.lessons.dropout
    for task in (paper, released):
        found = rates(task.module, task, build.optim_settings(recipe.stage1.optim))
        kept = {value for name, value in found.items() if not name.startswith("student.fc.")}
        assert kept == {(1, 1), (2, 0)}


def test_updates_of_the_plain_student_are_those_of_both_stages():
    recipe = load_recipe("coco-vgg16")
    (phase,) = phases_of(recipe, variants(recipe)[0])
    assert updates(recipe, phase, 840, 840) == round(10 * 840 / 32) + 20 * 840 // 28
