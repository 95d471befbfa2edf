"""Recipes on disk: reading, overriding, saving, and what is said about faults."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxless.errors import ConfigError
from boxless.recipe.recipe_files import (
    builtin_recipes,
    dotted,
    load_recipe,
    recipe_text,
    toml_value,
)


def test_demo_is_built_in():
    assert "demo" in builtin_recipes()
    assert 'name = "demo"' in recipe_text("demo")


def test_unknown_recipe_names_close_ones():
    with pytest.raises(ConfigError, match=r"unknown recipe 'demoo'.*'demo'"):
        load_recipe("demoo")


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("teacher.optim.lr", "1e-2", 0.01),
        ("teacher.optim.epochs", "4", 4.0),
        ("run.seeds", "3", 3),
        ("teaching.dropout", "false", False),
        ("stage1.levels", '["stride8", "final"]', ("stride8", "final")),
        ("stage1.levels", "stride8,final", ("stride8", "final")),
        ("stage1.levels", " stride8, final ", ("stride8", "final")),
        ("stage1.levels", "[stride8, final]", ("stride8", "final")),
        ("stage1.levels", "final", ("final",)),
        ("stage1.levels", '"final"', ("final",)),
        ("teacher.parts", "means", ("means",)),
        ("baseline.input_sizes", "", ()),
        ("teacher.ridges", "0.1", (0.1,)),
        ("teacher.ridges", "1e-2,0.1", (0.01, 0.1)),
        ("student.backbone", "test_vit", "test_vit"),
        ("student.backbone", '"test_vit"', "test_vit"),
        ("student.weights", "/some/where/a b.safetensors", "/some/where/a b.safetensors"),
        ("description", "", ""),
    ],
)
def test_overrides(key, text, expected):
    found = load_recipe("demo", {key: text})
    for part in key.split("."):
        found = getattr(found, part)
    assert found == expected
    assert type(found) is type(expected)


def test_override_makes_an_optional_section():
    recipe = load_recipe("demo", {"baseline.optim.epochs": "9", "baseline.optim.lr": "0.1"})
    assert (recipe.baseline.optim.epochs, recipe.baseline.optim.lr) == (9.0, 0.1)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"teacher.optim.lrr": "1"}, r"unknown setting 'teacher.optim.lrr'.*teacher.optim.lr'"),
        ({"epochs": "1"}, r"unknown setting 'epochs'.*teacher"),
        ({"teacher": "1"}, "unknown setting 'teacher'"),
        ({"teacher.bins": "many"}, r"teacher.bins: .*integer.*found 'many'"),
        ({"teaching.dropout": "True"}, r"teaching.dropout: .*boolean.*found 'True'"),
        ({"teacher.parts": "means,peeks"}, r"teacher.parts.1: .*'peaks'.*found 'peeks'"),
        ({"teacher.ridges": "0.1,much"}, r"teacher.ridges.1: .*number.*found 'much'"),
        ({"teacher.ridges": "[0.1"}, r"teacher.ridges.0: .*number.*found '\[0.1'"),
        ({"stage1.enabled": "false"}, "there is no setting 'stage1.enabled' any more"),
        ({"teacher.optim.lr": "2020-01-01"}, r"teacher.optim.lr: .*number"),
        ({"baseline.optim.lr": "1.0"}, "baseline.optim.epochs: missing"),
    ],
)
def test_wrong_overrides(overrides, message):
    with pytest.raises(ConfigError, match=message):
        load_recipe("demo", overrides)


def test_override_in_a_section_that_is_none(tmp_path):
    path = tmp_path / "odd.toml"
    path.write_text("teacher = 3\n", "utf-8")
    with pytest.raises(ConfigError, match="teacher"):
        load_recipe(str(path), {"teacher.bins": "2"})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[teacher\nbins = 3", r"mine.toml is not valid TOML: .*line 1"),
        (b"\xff\xfe\x00", "mine.toml is not UTF-8 text"),
        (b"", r"mine.toml has 4 fault\(s\)"),
        (b"when = 2020-01-01", "unknown setting 'when'"),
    ],
)
def test_faulty_files_are_named(tmp_path, content, message):
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        load_recipe(str(path))


def test_missing_file():
    with pytest.raises(ConfigError, match=r"cannot read recipe nowhere.toml: No such file"):
        load_recipe("nowhere.toml")


@pytest.mark.parametrize("name", builtin_recipes())
def test_a_saved_recipe_loads_again(tmp_path, name):
    """What a run keeps beside its results, dotted keys, is a recipe."""
    saved = save(tmp_path, load_recipe(name, {"run.seeds": "2"}))
    assert load_recipe(str(saved)) == load_recipe(name, {"run.seeds": "2"})


@settings(deadline=None, max_examples=15)
@given(
    st.text(st.characters(codec="utf-8"), max_size=30),
    st.floats(1e-9, 1e9, allow_nan=False, allow_infinity=False),
)
def test_any_text_and_number_survive_saving(tmp_path_factory, text, number):
    recipe = load_recipe("demo")
    changed = recipe.model_copy(
        update={
            "description": text,
            "stage2": recipe.stage2.model_copy(update={"soft_weight": number}),
        }
    )
    saved = save(tmp_path_factory.mktemp("saved"), changed)
    assert load_recipe(str(saved)) == changed


def save(folder, recipe):
    """As `boxless.runs.execute` does."""
    execute = pytest.importorskip("boxless.runs.execute")

    class Run:
        pass

    run = Run()
    run.folder, run.spec, run.recipe = folder, "scenes:20", recipe
    execute._save_settings(run)
    path = folder / "recipe.toml"
    assert tomllib.loads(path.read_text("utf-8"))["name"] == dotted(recipe)["name"]
    return path


@pytest.mark.parametrize(
    "value",
    [
        "".join(map(chr, range(128))),
        "\x7f",
        "caf\u00e9 \U0001f600",
        ["a\n", "\x00"],
        [],
        True,
        -3,
        1e-05,
        2e16,
    ],
)
def test_what_is_written_as_toml_is_read_again(value):
    assert tomllib.loads(f"value = {toml_value(value)}") == {"value": value}


def test_paths_and_tuples_are_written_as_texts_and_arrays():
    assert toml_value(Path("a") / "b") == '"a/b"'
    assert toml_value(("a", 1)) == '["a", 1]'
