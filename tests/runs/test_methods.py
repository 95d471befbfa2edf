"""Methods as data, and what a recipe may ask of them."""

import pytest
from boxless.runs.methods import arm_of, compared, first_folder, own_method

from boxless.errors import ConfigError
from boxless.methods.table import FIRST_PHASES, METHODS, Method
from boxless.recipe.recipe_files import load_recipe
from boxless.runs.levels import method_levels


def recipe(methods="[]", **changes):
    overrides = {key.replace("__", "."): value for key, value in changes.items()}
    return load_recipe("voc-lite0", {"methods": methods, **overrides})


def test_the_papers_rows_are_there():
    pairs = {name: (m.features, m.predictions) for name, m in METHODS.items()}
    assert pairs["hinton"] == ("none", "hinton")
    assert pairs["fitnets"] == ("hint", "none")
    assert pairs["attention"] == ("attention", "none")
    assert pairs["class-aware"] == ("none", "class-aware")
    assert pairs["regions-nms"] == ("regions-nms", "class-aware")
    assert pairs["regions"] == ("regions", "class-aware")
    assert len(set(pairs.values())) == len(pairs)
    assert ("none", "none") not in pairs.values()  # the plain student is the baseline


def test_no_recipe_asks_for_any_by_itself():
    assert recipe().methods == ()
    assert compared(recipe()) == {}


def test_methods_come_in_the_order_of_tables():
    found = compared(recipe('["class-aware", "distilled", "hinton"]'))
    assert list(found) == ["hinton", "class-aware"]


@pytest.mark.parametrize(
    ("changes", "own"),
    [
        ({}, "regions"),
        ({"stage1__selection": '"nms"'}, "regions-nms"),
        ({"stage1__enabled": "false"}, "class-aware"),
    ],
)
def test_the_recipes_own_method_is_not_trained_twice(changes, own):
    found = recipe(f'["{own}", "hinton"]', **changes)
    assert METHODS[own].equals(own_method(found))
    assert arm_of(found, own) == arm_of(found, "distilled") == "distilled"
    assert arm_of(found, "hinton") == "hinton"
    assert list(compared(found)) == ["hinton"]


def test_first_phases_are_shared_by_what_they_transfer():
    found = recipe()
    one, two = (first_folder(found, METHODS[name], 3) for name in ("fitnets", "hint-class-aware"))
    assert one == two == "methods/hint/stage1/seed-3"
    same = Method("regions", "none", "a method that shares the recipe's own first phase")
    assert first_folder(found, same, 3) == "stage1/seed-3"
    alone = recipe(stage1__enabled="false", stage1__optim__epochs="1.0")
    assert first_folder(alone, same, 3) == "methods/regions/stage1/seed-3"
    assert first_folder(found, METHODS["attention"], 3) is None


@pytest.mark.parametrize(
    ("methods", "changes", "message"),
    [
        ('["hintom"]', {}, r"methods: unknown method 'hintom'\. Did you mean 'hinton'"),
        ('["hinton", "hinton"]', {}, "a method is named twice"),
        ('"hinton"', {}, "methods: .*tuple|methods: .*array"),
        ('["regions"]', {"stage1__selection": '"nms"'}, "needs stage1.selection = 'all'"),
        (
            '["fitnets"]',
            {"stage1__enabled": "false", "stage1__optim__epochs": "99.0"},
            "'fitnets' takes stage 1's epochs .* = 99 leaves nothing of stage2.optim.epochs",
        ),
    ],
)
def test_wrong_methods(methods, changes, message):
    with pytest.raises(ConfigError, match=message):
        recipe(methods, **changes)


def test_levels_that_methods_need_beside_the_runs_own():
    assert method_levels(recipe('["attention", "fitnets"]')) == ()  # stage 1's, which are kept
    wider = recipe('["attention"]', attention__levels='["stride16", "final"]')
    assert method_levels(wider) == ("stride16",)
    assert method_levels(recipe('["hinton"]', attention__levels='["stride16"]')) == ()
    online = recipe(
        '["attention"]',
        attention__levels='["stride16"]',
        stage1__teacher_maps="online",
        stage1__match_statistics="false",
    )
    assert method_levels(online) == ()


def test_first_phases_name_transfers():
    assert {m.features for m in METHODS.values() if m.has_first_phase} == FIRST_PHASES
