"""The schema: every fault has a readable line, and what belongs together is checked together."""

import copy

import pytest
from pydantic import ValidationError

from boxless.errors import ConfigError
from boxless.recipe.recipe_files import builtin_recipes, dotted, known_keys, load_recipe, validate
from boxless.recipe.schema import Recipe
from boxless.recipe.sections import OptimConfig


def values(**changed):
    """The smallest complete recipe; ``a__b=value`` sets key b of section a."""
    plain = {
        "teacher": {"backbone": "test_resnet", "input_size": 64, "optim": {"epochs": 1}},
        "student": {"backbone": "test_resnet", "input_size": 64},
        "stage1": {"optim": {"epochs": 1}},
        "stage2": {"optim": {"epochs": 1}},
    }
    result = copy.deepcopy(plain)
    for key, value in changed.items():
        *sections, last = key.split("__")
        target = result
        for section in sections:
            target = target.setdefault(section, {})
        target[last] = value
    return result


def fault(**changed):
    with pytest.raises(ConfigError) as caught:
        validate(values(**changed), "here")
    assert caught.value.message.startswith("here has 1 fault(s):\n")
    (line,) = caught.value.message.splitlines()[1:]
    return line


def test_smallest_recipe_is_valid():
    recipe = validate(values(), "here")
    assert recipe.teacher.regions == 500
    assert recipe.stage2.soft_loss == "l2"


@pytest.mark.parametrize(
    ("changed", "parts"),
    [
        ({"teacher__optim__lrr": 1.0}, ["'teacher.optim.lrr'", "Did you mean", "teacher.optim.lr"]),
        ({"techer": {}}, ["unknown setting 'techer'", "Known"]),
        ({"teacher__bins": "7"}, ["teacher.bins:", "valid integer", "found '7'"]),
        ({"teacher__bins": 7.5}, ["teacher.bins:", "integer", "found 7.5"]),
        ({"student__backbone": 5}, ["student.backbone:", "valid string", "found 5"]),
        ({"teaching__dropout": "yes"}, ["teaching.dropout:", "valid boolean", "found 'yes'"]),
        ({"stage1__enabled": False}, ["no such setting any more", "method = 'class-aware'"]),
        ({"stage1__selection": "nms"}, ["no such setting any more", "method = 'regions-nms'"]),
        ({"run__maps_gib": 1.0}, ["no such setting any more", "teacher_maps = 'online'"]),
        ({"run__precision": "auto"}, ["run.precision:", "'no', 'fp16' or 'bf16'", "found 'auto'"]),
        ({"teacher__dropout": 1.0}, ["teacher.dropout:", "less than 1", "found 1.0"]),
        ({"stage2__optim__lr": 0}, ["stage2.optim.lr:", "greater than 0", "found 0"]),
        ({"stage2__optim__lr": float("inf")}, ["stage2.optim.lr:", "finite"]),
        ({"stage2__soft_weight": float("nan")}, ["stage2.soft_weight:"]),
        ({"run__seeds": 0}, ["run.seeds:", "greater than or equal to 1", "found 0"]),
        ({"stage2__soft_loss": "l1"}, ["stage2.soft_loss:", "'l2' or 'bce'", "found 'l1'"]),
        ({"stage1__levels": ["final", 3]}, ["stage1.levels.1:", "valid string", "found 3"]),
        ({"teacher": 3}, ["teacher:", "found 3"]),
        ({"teacher__folds": 1, "teacher__trainable": "head"}, ["teacher: folds must be 0 or at"]),
        ({"teacher__folds": 3}, ["teacher: folds needs trainable = 'head'"]),
        ({"teacher__regions": 900}, ["teacher.regions = 900", "proposals.max_boxes = 500"]),
        ({"teacher__regions": 100}, ["stage1.regions must not exceed teacher.regions"]),
        ({"stage1__optim__schedule": "plateau"}, ["stage1.optim.schedule", "held-out"]),
        ({"student__resize_from": 32}, ["student.resize_from = 32 is less than"]),
        ({"teaching__predictions": "online"}, ["needs one view", "student.resize_from"]),
        ({"teaching__dropout": True}, ["teaching.dropout reaches nothing", "'online'"]),
        ({"teaching__region_weight": "both"}, ["'trained' or 'released'", "found 'both'"]),
        ({"stage2__learn_temperature": True}, ["learn_temperature needs soft_loss = 'bce'"]),
        ({"stage1__match_statistics": True}, ["needs teacher.fold_norms and student.fold_norms"]),
        (
            {
                "stage1__match_statistics": True,
                "teacher__fold_norms": True,
                "student__fold_norms": True,
                "stage1__teacher_maps": "online",
            },
            ["match_statistics needs stage1.teacher_maps = 'cache'"],
        ),
    ],
)
def test_every_fault_is_one_readable_line(changed, parts):
    line = fault(**changed)
    for part in parts:
        assert part in line, line


def test_missing_values_are_listed_all_at_once():
    with pytest.raises(ConfigError, match=r"5 fault\(s\)") as caught:
        validate({"teacher": {"input_size": 64, "optim": {}}}, "here")
    text = str(caught.value)
    for key in ("teacher.backbone", "teacher.optim.epochs", "student", "stage1", "stage2"):
        assert f"- {key}: missing" in text
    assert "boxless recipes show" in caught.value.hint


def test_recipes_do_not_change():
    recipe = validate(values(), "here")
    with pytest.raises(ValidationError, match="frozen"):
        recipe.teacher.bins = 3


def test_epochs_become_updates():
    optim = OptimConfig(epochs=1.5, batch_size=4)
    assert optim.updates(10) == 4
    assert optim.updates(1) == 1


def test_every_setting_is_described():
    missing = [key for key, text in known_keys().items() if not text]
    assert missing == []


def test_dotted_names_are_the_known_keys():
    recipe = validate(values(baseline__optim={"epochs": 2}), "here")
    assert set(dotted(recipe)) == set(known_keys())


@pytest.mark.parametrize("name", builtin_recipes())
def test_builtin_recipes_are_valid_and_described(name):
    recipe = load_recipe(name)
    assert isinstance(recipe, Recipe)
    assert recipe.name == name
    assert recipe.description


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"tags__loss": "focal"}, "found 'focal'"),
        ({"tags__loss": "asl", "tags__focus_absent": 0.5}, "focus_absent must be 0 or at least 1"),
        ({"tags__loss": "boostlu", "student__head": "fc6_fc7"}, "set student.head = 'gap'"),
        ({"tags__loss": "boostlu", "stage2__start": "teacher"}, "needs stage2.start = 'random'"),
        ({"tags__trust": 0.5}, "needs teacher.folds of 2 or more"),
        (
            {"tags__trust": 0.5, "teacher__folds": 2, "teacher__trainable": "head",
             "tags__loss": "em"},
            "'em' takes no tag for absent",
        ),
        (
            {"tags__trust": 0.5, "teacher__folds": 2, "teacher__trainable": "head",
             "methods": ["fitnets"]},
            "which method 'fitnets' does not learn",
        ),
    ],
)  # fmt: skip
def test_losses_on_tags_are_refused_where_they_cannot_be_used(changed, text):
    assert text in fault(**changed)


def test_losses_on_tags_serve_every_method_but_trust():
    for loss in ("asl", "ll-r", "ll-ct", "boostlu", "em"):
        recipe = validate(values(tags__loss=loss, methods=["fitnets", "hinton"]), "here")
        assert recipe.tags.loss == loss
    trusting = {"teacher__folds": 2, "teacher__trainable": "head", "tags__trust": 0.5}
    assert validate(values(**trusting), "here").tags.trust == 0.5
