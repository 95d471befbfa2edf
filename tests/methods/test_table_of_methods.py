"""Methods as data, and what a recipe may ask of them."""

import pytest

from boxless.errors import ConfigError
from boxless.methods.table import DISTILLING, FIRST_PHASES, METHODS, ORACLE, PLAIN
from boxless.methods.tags import Tags
from boxless.recipe.recipe_files import load_recipe
from boxless.runs.phases import MAPS, MORE_MAPS, kept_levels, phases_of
from boxless.runs.variant import Variant, by_key, variants


def recipe(methods="[]", **changes):
    overrides = {key.replace("__", "."): value for key, value in changes.items()}
    return load_recipe("voc-lite0", {"methods": methods, **overrides})


def test_the_papers_rows_are_there():
    phases = {
        name: [tuple(transfer.name for transfer in phase) for phase in method.phases]
        for name, method in METHODS.items()
    }
    assert phases["plain"] == [("tags",)]
    assert phases["hinton"] == [("tags", "hinton")]
    assert phases["attention"] == [("tags", "attention")]
    assert phases["fitnets"] == [("hint",), ("tags",)]
    assert phases["fitnets-hinton"] == [("hint",), ("tags", "hinton")]
    assert phases["class-aware"] == [("tags", "class-aware")]
    assert phases["hint-class-aware"] == [("hint",), ("tags", "class-aware")]
    assert phases["regions-nms"] == [("regions-nms",), ("tags", "class-aware")]
    assert phases["regions"] == [("regions",), ("tags", "class-aware")]
    assert len(set(map(str, phases.values()))) == len(phases)


def test_tags_end_every_method_and_need_no_teacher():
    for method in METHODS.values():
        assert any(issubclass(kind, Tags) for kind in method.phases[-1])
        assert not any(Tags in phase for phase in method.features)
    assert set(METHODS) - set(DISTILLING) == {PLAIN, ORACLE}
    assert FIRST_PHASES == ("hint", "regions-nms", "regions")


def test_a_recipe_compares_nothing_by_itself():
    assert recipe().methods == ()
    assert recipe().distilling == ("regions",)


@pytest.mark.parametrize("own", ["regions", "regions-nms", "class-aware", "hinton"])
def test_the_recipes_own_method_comes_first_and_once(own):
    found = recipe(
        f'["class-aware", "{own}"]' if own != "class-aware" else '["hinton"]', method=own
    )
    assert found.distilling[0] == own
    assert len(set(found.distilling)) == len(found.distilling) == 2


def test_variants_of_a_run_in_the_order_of_work_and_of_tables():
    found = recipe('["hinton"]', run__seeds="2", run__seed="5", baseline__input_sizes="[96]")
    size = found.student.input_size
    seed = [Variant("plain", size, 5), Variant("plain", 96, 5, usual=False)]
    seed += [Variant("regions", size, 5), Variant("hinton", size, 5)]
    assert variants(found)[:4] == seed
    assert [one.seed for one in variants(found)] == [5] * 4 + [6] * 4
    keys = by_key(found)
    assert list(keys) == ["plain", "plain@96", "hinton", "regions"]
    assert [one.seed for one in keys["plain@96"]] == [5, 6]
    assert seed[1].folder == "students/plain/96px/seed-5"
    assert seed[1].label == "student without distillation at 96 px"


def test_first_phases_are_shared_by_what_they_transfer():
    found = recipe()
    first = {}
    for name in METHODS:
        phases = phases_of(found, Variant(name, 128, 3))
        assert phases[-1].folder == f"students/{name}/128px/seed-3"
        assert phases[-1].last
        first[name] = phases[-1].start
    assert first["fitnets"] == first["hint-class-aware"] == "features/hint/128px/seed-3"
    assert first["regions"] == "features/regions/128px/seed-3"
    assert first["regions-nms"] == "features/regions-nms/128px/seed-3"
    assert first["attention"] is first["plain"] is None


@pytest.mark.parametrize(
    ("methods", "changes", "message"),
    [
        ('["hintom"]', {}, r"methods: unknown method 'hintom'\. Did you mean 'hinton'"),
        ('["hinton", "hinton"]', {}, "one is named twice"),
        ("3", {}, "methods.0: input should be a valid string"),
        ("[]", {"method": "oracle", "data__tags": "9"}, "'oracle' distils nothing"),
        ('["oracle"]', {}, "true tags of untagged images, and there are none"),
        ('["plain"]', {}, "methods: 'plain' is trained in every run"),
        ("[]", {"method": "plain"}, "method: 'plain' is trained in every run"),
        ("[]", {"method": "regionz"}, "method: unknown method 'regionz'. Did you mean 'regions'"),
        (
            '["fitnets"]',
            {"method": "class-aware", "stage1__optim__epochs": "99.0"},
            "'fitnets' takes stage 1's epochs .* = 99 leaves nothing of stage2.optim.epochs",
        ),
    ],
)
def test_wrong_methods(methods, changes, message):
    with pytest.raises(ConfigError, match=message):
        recipe(methods, **changes)


def test_levels_that_methods_need_beside_the_runs_own():
    def levels(*args, **changes):
        return kept_levels(recipe(*args, **changes), MORE_MAPS)

    assert kept_levels(recipe(), MAPS) == ("final",)
    assert levels('["attention", "fitnets"]') == ()  # stage 1's, which are kept
    wider = {"attention__levels": '["stride16", "final"]'}
    assert levels('["attention"]', **wider) == ("stride16",)
    assert levels('["hinton"]', **wider) == ()
    online = {"stage1__teacher_maps": "online", "stage1__match_statistics": "false"}
    assert levels('["attention"]', **wider, **online) == ()
