"""The plan of a run that compares methods."""

from dataclasses import replace
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from boxless.data.sources import load_manifest
from boxless.losses.objectness import select_by_nms
from boxless.methods.lessons import Lessons
from boxless.methods.table import DISTILLING, PLAIN
from boxless.recipe.recipe_files import dotted, load_recipe
from boxless.runs import build
from boxless.runs.context import Run
from boxless.runs.phases import phases_of, updates
from boxless.runs.plan import ACTIONS, VERBS, plan
from boxless.runs.variant import variants
from boxless.training.batches import whole_batches
from boxless.types import Proposals

ALL = "[" + ", ".join(f'"{name}"' for name in DISTILLING) + "]"


def make(tmp_path, methods=ALL, recipe="voc-lite0", **changes):
    manifest = load_manifest("scenes:train=60,test=5,size=64")
    overrides = {key.replace("__", "."): value for key, value in changes.items()}
    return Run(
        tmp_path, "scenes:", load_recipe(recipe, {"methods": methods, **overrides}), manifest
    )


def by_name(run):
    return {step.name: step for step in plan(run)}


@pytest.mark.parametrize("verb", ACTIONS)
def test_every_verb_names_a_function_that_exists(verb):
    module, function = ACTIONS[verb]
    assert verb in VERBS
    assert callable(getattr(import_module(f"boxless.runs.{module}"), function))


VARIANTS = (
    {},
    {"run__seeds": "3"},
    {"method": "class-aware", "stage1__optim__epochs": "1.0"},
    {"attention__levels": '["stride8", "final"]'},
    {
        "teacher__kind": '"wsddn"',
        "teacher__trainable": '"all"',
        "teacher__folds": "0",
        "hint__levels": '["stride16"]',
    },
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
    """Only what joins the variants reads more; everything trained stays what it was."""
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
    assert all(name.startswith(("students/", "features/", "maps-compared")) for name in added)


def test_steps_of_all_methods(tmp_path):
    steps = by_name(make(tmp_path))
    below = "128px/seed-0"
    assert {name for name in steps if name.startswith(("students/", "features/"))} == {
        *(f"features/{name}/{below}" for name in ("hint", "regions-nms", "regions")),
        *(f"students/{name}/{below}" for name in (PLAIN, *DISTILLING)),
    }
    shared = {n for n, step in steps.items() if f"features/hint/{below}" in step.needs}
    names = ("fitnets", "fitnets-hinton", "hint-class-aware")
    assert shared == {f"students/{name}/{below}" for name in names}
    assert set(steps["evaluate"].needs) >= {n for n in steps if n.startswith("students/")}


def test_one_more_method_touches_no_other(tmp_path):
    one, two = (by_name(make(tmp_path, m)) for m in ('["hinton"]', '["hinton", "attention"]'))
    assert set(two) - set(one) == {"students/attention/128px/seed-0"}
    assert all(two[name].settings == one[name].settings for name in one)


def test_a_methods_settings_are_its_own(tmp_path):
    def touched(**changes):
        before, after = by_name(make(tmp_path)), by_name(make(tmp_path, **changes))
        return {step.verb for name, step in after.items() if step.settings != before[name].settings}

    assert touched(hinton__temperature="5.0") == {"hinton", "fitnets-hinton"}
    assert touched(attention__beta="1.0") == {"attention"}
    assert touched(hint__adapter="auto") == {"hint"}
    assert touched(stage1__nms_keep="7") == {"regions", "regions-nms"}
    assert touched(stage1__objectness__top_classes="3") == {"cache", "regions", "regions-nms"}


def test_the_hint_starts_as_stage_1_does(tmp_path):
    def start(**changes):
        settings = by_name(make(tmp_path, **changes))["features/hint/128px/seed-0"].settings
        return (
            settings["hint.adapter_start"],
            settings.get("stage1.adapter_start"),
            settings.get("stage1.adapter_ridge"),
        )

    assert start() == ("stage1", "ridge", 0.3)  # the recipe's
    assert start(stage1__adapter_start="random") == ("stage1", "random", None)
    assert start(hint__adapter_start="random") == ("random", None, None)
    assert start(hint__adapter="auto")[2] is None
    ridge = {"hint__adapter_start": "ridge", "stage1__adapter_ridge": "0.5"}
    assert start(stage1__adapter_start="random", **ridge) == ("ridge", None, 0.5)


def test_hintons_targets_come_from_where_the_recipe_says(tmp_path):
    """Kept, they ask for nothing but the cache; online, the teacher and its ways belong to them."""
    name = "students/hinton/128px/seed-0"
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


@pytest.mark.parametrize("changes", [{}, {"method": "class-aware", "stage1__optim__epochs": "1.0"}])
def test_every_method_has_the_plain_students_updates(tmp_path, changes):
    run = make(tmp_path, **changes)
    images, recipe = len(run.train), run.recipe

    def total(method):
        return sum(updates(recipe, phase, images, images) for phase in phases_of(recipe, method))

    totals = {total(variant) for variant in variants(recipe)}
    stages = [recipe.stage2.optim, *([] if changes else [recipe.stage1.optim])]
    assert totals == {sum(optim.updates(images) for optim in stages)}


def test_the_plain_student_may_have_a_budget_of_its_own(tmp_path):
    own = {"baseline__optim__epochs": "2.0", "baseline__optim__batch_size": "4"}
    run = make(tmp_path, "[]", **own)
    (phase,) = phases_of(run.recipe, variants(run.recipe)[0])
    assert updates(run.recipe, phase, 9000, 100) == 50
    common = sum(
        updates(run.recipe, p, 9000, 100) for p in phases_of(run.recipe, variants(run.recipe)[-1])
    )
    assert updates(run.recipe, phase, 9000, 9000) == min(common, 4500)
    assert updates(run.recipe, phase, 9000, 90000) == common
    settings = by_name(run)["students/plain/128px/seed-0"].settings
    assert settings["baseline.optim.epochs"] == 2.0
    assert settings["stage2.optim.epochs"] == run.recipe.stage2.optim.epochs


@pytest.mark.parametrize("own", [{}, {"baseline__optim__epochs": "2.0"}])
def test_the_plain_student_may_have_a_limit_of_updates(tmp_path, own):
    run = make(tmp_path, '["oracle"]', data__tags="20", baseline__most_updates="7", **own)
    totals = {
        variant.method: sum(
            updates(run.recipe, phase, 9000, 900) for phase in phases_of(run.recipe, variant)
        )
        for variant in variants(run.recipe)
    }
    assert totals["plain"] == 7
    assert min(total for method, total in totals.items() if method != "plain") > 7
    steps = by_name(run)
    assert steps["students/plain/128px/seed-0"].settings["baseline.most_updates"] == 7
    others = [step for name, step in steps.items() if "/plain/" not in name]
    assert not any("baseline.most_updates" in step.settings for step in others)


def test_another_own_method_is_another_budget(tmp_path):
    """The students whose number of updates changes with it are not taken for the same."""
    changes = {"stage1__optim__epochs": "1.0"}
    before = by_name(make(tmp_path, **changes))
    after = by_name(make(tmp_path, method="class-aware", **changes))
    assert set(before) == set(after)
    changed = {step.verb for name, step in after.items() if step.settings != before[name].settings}
    assert changed == {PLAIN, *DISTILLING}


def test_selection_by_nms_is_that_of_the_scored_images(tmp_path):
    """Once for the training images, the same as batch by batch on what the teacher just said."""
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
    knowledge = build.knowledge(run.recipe)
    weights = knowledge.objectness(scores, batch)
    kept = SimpleNamespace(objectness=weights)
    found = Lessons(32, knowledge, kept=kept, images=dataset).selected(iou=0.4, keep=4)
    expected = select_by_nms(batch.boxes, weights, batch.mask, iou=0.4, keep=4)
    assert_close(found, expected)
    assert 1 < float(found.sum(1).mean()) <= 4


def test_kept_tags_concern_teacher_and_students_alone(tmp_path):
    """Maps are the same, and runs from before the setting stay as they were."""
    key = "data.single_positive"
    assert not [step.name for step in plan(make(tmp_path)) if key in step.settings]
    steps = plan(make(tmp_path, data__single_positive="true"))
    asked = {step.kind for step in steps if key in step.settings}
    assert asked == {"teacher", "features", "student"}


def test_trust_trains_those_anew_that_trust(tmp_path):
    methods = '["class-aware", "hinton"]'
    before = by_name(make(tmp_path, methods=methods, method="class-aware"))
    after = by_name(make(tmp_path, methods=methods, method="class-aware", tags__trust="1.0"))
    changed = {name for name, step in after.items() if step.settings != before[name].settings}
    assert {name.split("/")[1] for name in changed} == {"class-aware", "hinton"}
    assert all("cache" in after[name].needs for name in changed)


def test_a_loss_on_tags_trains_all_students_anew_and_nothing_else(tmp_path):
    before, after = by_name(make(tmp_path)), by_name(make(tmp_path, tags__loss="ll-r"))
    changed = {name for name, step in after.items() if step.settings != before[name].settings}
    assert changed == {name for name, step in after.items() if step.kind == "student"}


def without_boxes(run):
    records = tuple(replace(record, boxes=None) for record in run.manifest.records)
    return replace(run, manifest=replace(run.manifest, records=records))


@pytest.mark.parametrize(
    ("method", "changes", "proposed"),
    [
        ("class-aware", {}, False),
        ("hinton", {}, False),
        ("regions", {}, True),
        ("regions-nms", {}, True),
        ("class-aware", {"teacher__kind": '"wsddn"'}, True),
    ],
)
def test_regions_are_proposed_where_somebody_looks_at_them(tmp_path, method, changes, proposed):
    run = make(tmp_path, methods="[]", method=method, **changes)
    assert "proposals" in by_name(run)  # true boxes judge the teacher by them
    steps = by_name(without_boxes(run))
    assert ("proposals" in steps) == proposed
    assert ("proposals" in steps["teacher"].needs) == proposed


def test_no_components_are_as_before_there_were_any(tmp_path):
    key = "stage1.components"
    none = plan(make(tmp_path, stage1__components="0"))
    assert not [step.name for step in none if key in step.settings]
    assert [step.kind for step in plan(make(tmp_path)) if key in step.settings]
