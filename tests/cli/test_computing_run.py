"""``--run.precision auto --run.compile auto`` through the real command."""

import json

import pytest
from command_line import train_words
from same_run import results

from boxless.report.results import read_results

AUTO = ("--run.precision", "auto", "--run.compile", "auto")


def computing(folder):
    return json.loads((folder / "computing.json").read_text())


def test_measured_before_training_and_kept(preloaded, tmp_path):
    out = tmp_path / "run"
    done = preloaded(*train_words(out, *AUTO, verb="baseline"))
    assert done.code == 0, done.err
    assert done.err.index("an update of the student: float32: ") < done.err.index("baseline/seed-0")
    found = computing(out)
    assert found["measured"] == ["precision", "compile"]
    assert found["compile"] == "no"
    assert found["ways"][2]["left_out"] == "not tried: compiling cannot be repaid by 32 updates"
    settings = json.loads((out / "baseline" / "seed-0" / "step.json").read_text())["settings"]
    assert settings["run.precision"] == found["precision"]
    assert f'run.precision = "{found["precision"]}"' in (out / "recipe.toml").read_text()
    before = results(out)
    again = preloaded(*train_words(out, *AUTO, verb="baseline"))
    assert again.code == 0, again.err
    assert "timing updates" not in again.err
    assert "baseline/seed-0: done already" in again.err
    assert results(out) == before


def test_the_choice_reaches_results_and_report(preloaded, run_copy):
    """A finished run, asked again with a choice that comes out as it was made."""
    done = preloaded(*train_words(run_copy, "--run.compile", "auto", verb="report"))
    assert done.code == 0, done.err
    assert done.err.count("done already") == 11
    found = read_results(run_copy / "results.json").computing
    assert found.measured == ("compile",)
    assert found.chosen.name == "float32"
    page = (run_copy / "report.html").read_text("utf-8")
    assert "How updates are computed" in page
    assert "compiling cannot be repaid by 32 updates" in page


def test_a_run_without_it_shows_nothing(finished_run):
    assert not (finished_run / "computing.json").exists()
    assert read_results(finished_run / "results.json").computing is None
    assert "How updates are computed" not in (finished_run / "report.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--run.precision", "fp8"), "run.precision: "),
        (("--run.compile", "maybe"), "'no', 'yes' or 'auto'"),
        (("--run.compile", "true"), "run.compile: "),
    ],
)
def test_other_values_are_refused(app, tmp_path, words, told):
    app(*train_words(tmp_path / "run", *words)).refused(told)


def test_a_network_that_does_not_exist_is_refused_before_it_is_timed(app, tmp_path):
    words = train_words(tmp_path / "run", *AUTO, "--student.backbone", "resnet_none")
    app(*words).refused("student.backbone = 'resnet_none'")
    assert not (tmp_path / "run" / "computing.json").exists()


def test_a_damaged_choice_is_refused(app, tmp_path):
    out = tmp_path / "run"
    out.mkdir()
    (out / "computing.json").write_text('{"precision": "bf16"}')
    app(*train_words(out, *AUTO)).refused("computing.json is damaged", "delete it")


def test_tables_of_experiments_need_a_choice(app, tmp_path):
    words = ("experiments", "run", "table1", "--data", "scenes:train=40,test=8,size=64")
    app(*words, "--out", tmp_path, *AUTO).refused("run.precision = 'auto' may choose differently")
