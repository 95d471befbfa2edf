"""A run that names no recipe: chosen from its images, told, and kept."""

import tomllib

import pytest

from boxless.errors import ConfigError
from boxless.recipe.recipe_files import dotted, load_recipe
from boxless.runs import execute as executing
from boxless.runs import start as module
from boxless.runs.parts import split_parts
from boxless.runs.start import Order, look, run_and_data

SPEC = "scenes:train=60,test=12,size=48"


@pytest.fixture
def photographs(monkeypatch):
    """Scenes that pass for photographs, on a machine without a GPU."""
    monkeypatch.setattr(module, "PREFIX", "none:")
    monkeypatch.setattr(module, "_has_gpu", lambda: False)


def test_facts_of_the_images(tmp_path):
    recipe = load_recipe("photos-cpu", {"data.tags": "20"})
    run = Order(SPEC, tmp_path / "run", "photos-cpu").open()
    facts = look(split_parts(run.manifest, recipe.data, SPEC), drawn=False, gpu=False)
    assert (facts.tagged, facts.untagged, facts.longer_side) == (20, 34, 48)
    assert facts.classes == len(run.classes)


def test_scenes_get_the_demo(tmp_path, capsys):
    run = Order(SPEC, tmp_path / "run").open()
    assert run.recipe.name == "demo"
    assert run.recipe.why
    assert not run.folder.exists()
    told = capsys.readouterr().err
    assert all(reason in told for reason in run.recipe.why)


def test_images_decide_and_the_users_settings_stand(tmp_path, photographs, capsys):
    overrides = {"student.input_size": "96", "data.tags": "20"}
    run = Order(SPEC, tmp_path / "run", overrides=overrides).open()
    assert run.recipe.name == "photos-cpu"
    assert run.recipe.teacher.input_size == 128
    assert run.recipe.student.input_size == 96
    assert run.recipe.stage2.optim.epochs == 20
    assert "your own settings stand: student.input_size" in capsys.readouterr().err


def test_a_named_recipe_is_taken_without_a_word(tmp_path, photographs, capsys):
    run = Order(SPEC, tmp_path / "run", "voc-lite0").open()
    assert (run.recipe.name, run.recipe.why) == ("voc-lite0", ())
    assert "chosen" not in capsys.readouterr().err


def test_what_was_chosen_is_kept_and_not_chosen_again(tmp_path, photographs, monkeypatch, capsys):
    """The run goes on with it on a machine, or with images, that would choose another."""
    run = Order(SPEC, tmp_path / "run").open()
    executing._save_settings(run)
    monkeypatch.setattr(module, "_has_gpu", lambda: True)
    capsys.readouterr()
    again = Order(SPEC, tmp_path / "run").open()
    assert dotted(again.recipe) == dotted(run.recipe)
    assert "chosen" not in capsys.readouterr().err
    kept = tomllib.loads((run.folder / "recipe.toml").read_text("utf-8"))
    assert kept["why"] == list(run.recipe.why)


def test_a_run_folder_stands_for_its_data_set(tmp_path, photographs):
    run = Order(SPEC, tmp_path / "run").open()
    executing._save_settings(run)
    assert run_and_data(str(run.folder), None) == (run.folder, SPEC)
    assert run_and_data(str(run.folder), run.folder) == (run.folder, SPEC)
    assert run_and_data(SPEC, run.folder) == (run.folder, SPEC)
    with pytest.raises(ConfigError, match="two run folders"):
        run_and_data(str(run.folder), tmp_path / "other")
    with pytest.raises(ConfigError, match="expected the run folder in --out"):
        run_and_data(SPEC, None)
    with pytest.raises(ConfigError, match="expected the run folder in --out"):
        run_and_data(str(tmp_path), None)
