"""``boxless train --dry-run``, and a run folder in place of a data set."""

import pytest
from command_line import SPEC, train_words


def flat(text):
    return " ".join(text.split())


def test_a_dry_run_tells_all_and_writes_nothing(app, tmp_path):
    done = app(*train_words(tmp_path / "run", "--dry-run"))
    assert done.code == 0, done.err
    assert list(tmp_path.iterdir()) == []
    steps = [line for line in done.out.splitlines() if "/12]" in line]
    assert [line.split()[1] for line in steps] == [f"[{n}/12]" for n in range(1, 13)]
    told = flat(done.out)
    assert "time: about " in told
    assert "disk: about " in told
    assert f"ships: {tmp_path / 'run' / 'export' / 'student.onnx'}: test_resnet at 32 px" in told
    assert "plain or regions, whichever is best on 16 held-out images" in told
    assert "nothing was written" in told


def test_a_dry_run_says_what_was_chosen(app, tmp_path):
    spec = "scenes:train=60,test=10,size=64"
    words = ("--student.weights", "random", "--teacher.input_size", "64", "--dry-run")
    done = app("train", spec, "--out", tmp_path / "run", *words)
    assert done.code == 0, done.err
    assert "no --recipe: chosen" in done.err
    assert "demo: these are the embedded scenes" in done.err
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_of_a_finished_run_has_nothing_to_do(app, finished_run):
    done = app("train", finished_run, "--dry-run")
    assert done.code == 0, done.err
    assert done.out.count(" done ") == 12


def test_a_dry_run_refuses_what_a_run_would_refuse(app, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    app(*train_words(tmp_path, "--dry-run")).refused("is no run folder, and not empty")
    wrong = ("--student.backbone", "nothing", "--dry-run")
    app(*train_words(tmp_path / "run", *wrong)).refused("student.backbone = 'nothing'")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("verb", ["train", "teacher", "evaluate", "locate", "calibrate"])
def test_a_run_folder_is_enough(app, run_copy, verb):
    done = app(verb, run_copy)
    assert done.code == 0, done.err
    assert "done already" in done.err
    assert "begins" not in done.err


def test_a_run_folder_and_another_are_refused(app, run_copy, tmp_path):
    app("train", run_copy, "--out", tmp_path / "other").refused("found two run folders")
    app("train", SPEC).refused("expected the run folder in --out", f"boxless train {SPEC} --out")


def test_help_teaches_settings(app):
    told = flat(app("train", "--help").out)
    assert "--student.input_size 160" in told
    assert "--stage2.optim.epochs 8" in told
    assert "--dry-run" in told


def test_a_run_says_how_far_it_is(preloaded, tmp_path):
    done = preloaded(*train_words(tmp_path / "run", verb="cache"))
    assert done.code == 0, done.err
    assert "4 steps to do, about " in done.err
    lines = [line for line in done.err.splitlines() if " begins" in line]
    assert [line.split("]")[0] for line in lines] == [f"[{n}/4" for n in range(1, 5)]
    assert all(line.endswith(" left in all") for line in lines)
