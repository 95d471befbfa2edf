"""The plan of a run that compares methods."""

import pytest
import torch
from torch.testing import assert_close

from boxless.data.sources import load_manifest
from boxless.methods.table import METHODS
from boxless.recipe.recipe_files import dotted, load_recipe
from boxless.runs import build, build_methods
from boxless.runs.context import Run
from boxless.runs.plan import VERBS, plan

ALL = "[" + ", ".join(f'"{name}"' for name in METHODS) + "]"


def make(tmp_path, methods=ALL, recipe="voc-lite0", **changes):
    manifest = load_manifest("scenes:train=60,test=5,size=64")
    overrides = {key.replace("__", "."): value for key, value in changes.items()}
    return Run(
        tmp_path, "scenes:", load_recipe(recipe, {"methods": methods, **overrides}), manifest
    )


def by_name(run):
    return {step.name: step for step in plan(run)}


VARIANTS = (
    {},
    {"run__seeds": "3"},
    {"stage1__enabled": "false", "stage1__optim__epochs": "1.0"},
    {"attention__levels": '["stride8", "final"]'},
    {"teacher__trainable": '"all"', "teacher__folds": "0", "hint__levels": '["stride16"]'},
    {"stage1__teacher_maps": '"online"', "stage1__match_statistics": "false"},
)


@pytest.mark.parametrize("changes", VARIANTS)
def test_needs_come_first_and_verbs_are_known(tmp_path, changes):
    seen: set[str] = set()
    for step in plan(make(tmp_path, **changes)):
        assert set(step.needs) <= seen, step.name
        assert step.verb in VERBS
        assert step.name not in seen
        seen.add(step.name)


@pytest.mark.parametrize("changes", VARIANTS)
def test_methods_change_no_step_of_the_run_itself(tmp_path, changes):
    """Only what joins the arms reads more; everything trained stays what it was."""
    with_methods, without = (
        by_name(make(tmp_path, **changes)),
        by_name(make(tmp_path, "[]", **changes)),
    )
    for name, step in without.items():
        other = with_methods[name]
        assert other.settings == step.settings
        if name != "evaluate":
            assert other.needs == step.needs
    added = with_methods.keys() - without.keys()
    assert all(name.startswith("methods/") for name in added)


def test_steps_of_all_methods(tmp_path):
    steps = by_name(make(tmp_path))
    assert {name for name in steps if name.startswith("methods/")} == {
        "methods/hint/stage1/seed-0",  # once, for three methods
        "methods/regions-nms/stage1/seed-0",
        *(f"methods/{name}/stage2/seed-0" for name in METHODS if name != "regions"),
    }
    shared = {n for n, step in steps.items() if "methods/hint/stage1/seed-0" in step.needs}
    names = ("fitnets", "fitnets-hinton", "hint-class-aware")
    assert shared == {f"methods/{name}/stage2/seed-0" for name in names}
    assert set(steps["evaluate"].needs) >= {n for n in steps if "/stage2/" in n}


def test_one_more_method_touches_no_other(tmp_path):
    one, two = (by_name(make(tmp_path, m)) for m in ('["hinton"]', '["hinton", "attention"]'))
    assert set(two) - set(one) == {"methods/attention/stage2/seed-0"}
    assert all(two[name].settings == one[name].settings for name in one)


def test_a_methods_settings_are_its_own(tmp_path):
    def touched(**changes):
        before, after = by_name(make(tmp_path)), by_name(make(tmp_path, **changes))
        return {step.verb for name, step in after.items() if step.settings != before[name].settings}

    assert touched(hinton__temperature="5.0") == {"hinton", "fitnets-hinton"}
    assert touched(attention__beta="1.0") == {"attention"}
    assert touched(hint__adapter="auto") == {"hint"}
    assert touched(stage1__nms_keep="7") == {"cache", "stage1", "regions-nms"}


def test_the_hint_starts_as_stage_1_does(tmp_path):
    def start(**changes):
        settings = by_name(make(tmp_path, **changes))["methods/hint/stage1/seed-0"].settings
        return settings["hint.adapter_start"], settings.get("stage1.adapter_ridge")

    assert start() == ("ridge", 0.3)  # the recipe's
    assert start(stage1__adapter_start="random") == ("random", None)
    assert start(hint__adapter_start="random") == ("random", None)
    assert start(hint__adapter="auto") == ("random", None)
    ridge = {"hint__adapter_start": "ridge", "stage1__adapter_ridge": "0.5"}
    assert start(stage1__adapter_start="random", **ridge) == ("ridge", 0.5)


def test_hintons_targets_come_from_where_the_recipe_says(tmp_path):
    """Kept, they ask for nothing but the cache; online, the teacher and its ways belong to them."""
    name = "methods/hinton/stage2/seed-0"
    kept = by_name(make(tmp_path, '["hinton"]'))[name]
    assert "teacher" not in kept.needs
    assert not any(key.startswith("teaching.") for key in kept.settings)
    changes = {"teaching__predictions": "online", "student__resize_from": "320"}
    online = by_name(make(tmp_path, '["hinton"]', teacher__folds="0", **changes))[name]
    assert {"teacher", "cache"} <= set(online.needs)
    assert online.settings["teaching.predictions"] == "online"


def test_every_setting_belongs_to_a_step(tmp_path):
    used = {key for step in plan(make(tmp_path)) for key in step.settings}
    sections = ("hinton.", "hint.", "attention.")
    wanted = {key for key in dotted(load_recipe("voc-lite0")) if key.startswith(sections)}
    assert wanted
    assert wanted <= used


@pytest.mark.parametrize(
    "changes", [{}, {"stage1__enabled": "false", "stage1__optim__epochs": "1.0"}]
)
def test_every_method_has_the_baselines_updates(tmp_path, changes):
    run = make(tmp_path, **changes)
    dataset = run.dataset(run.train)
    baseline = build.distillation_updates(run.recipe, dataset)
    first = build.stage_updates(dataset, run.recipe.stage1.optim)
    for method in METHODS.values():
        rest = build_methods.method_updates(run.recipe, dataset, method)
        assert rest + (first if method.has_first_phase else 0) == baseline


def test_selection_by_nms_is_that_of_the_recipes_own(tmp_path):
    """The method selects from the kept s' what the recipe's nms selects while keeping it."""
    import numpy as np

    from boxless.training.batches import whole_batches
    from boxless.types import Proposals

    run = make(tmp_path)
    rng = np.random.default_rng(0)
    made = {}

    def propose(image_id):
        if image_id not in made:
            low = rng.random((12, 2)) * 40
            boxes = np.concatenate([low, low + 8 + 16 * rng.random((12, 2))], 1)
            made[image_id] = Proposals(boxes.astype(np.float32), np.ones(12, np.float32), 64, 64)
        return made[image_id]

    dataset = run.dataset(run.train)
    dataset.proposals, dataset.regions, dataset.whole_image = propose, 13, True
    (batch,) = whole_batches(dataset, size=32, batch_size=len(dataset))
    scores = torch.rand(len(dataset), 13, 6, generator=torch.Generator().manual_seed(1))
    weights = build.knowledge(run.recipe).objectness(scores, batch)
    own = build.knowledge(
        make(tmp_path, "[]", stage1__selection='"nms"', stage1__nms_keep="4").recipe
    ).objectness(scores, batch)
    config = make(tmp_path, stage1__nms_keep="4").recipe.stage1
    assert_close(build_methods.selected_regions(dataset, weights, config), own)
    assert 1 < float(own.sum(1).mean()) <= 4
