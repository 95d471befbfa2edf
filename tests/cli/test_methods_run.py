"""A run that compares every method, through the real command."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
from command_line import train_words
from safetensors.numpy import load_file

from boxless.report.results import read_results

NAMES = (
    "hinton", "attention", "fitnets", "fitnets-hinton", "class-aware", "hint-class-aware",
    "regions-nms",
)  # fmt: skip
ALL = ",".join([*NAMES, "regions"])  # the last one is the tiny recipe's own
SHARED = (
    "proposals", "teacher", "maps", "cache", "students/plain", "features/regions",
    "students/regions",
)  # fmt: skip
WIDE = ("--attention.levels", '["stride16", "final"]')
KILLS = {
    # step, in the order of the plan: number of the change below its folder that never happens
    "maps-compared": 7,  # one of two shards is there
    "students/hinton/32px/seed-0": 21,
    "students/attention/32px/seed-0": 21,
    "features/hint/32px/seed-0": 14,
    "students/fitnets/32px/seed-0": 14,
    "features/regions-nms/32px/seed-0": 14,
}


def words(out, *more, verb="train"):
    return train_words(
        out, "--methods", ALL, *WIDE, "--run.checkpoint_seconds", "0", *more, verb=verb
    )


@pytest.fixture(scope="module")
def compared_run(finished_run, preloaded, tmp_path_factory):
    """Methods added to a finished run; look, don't touch."""
    out = tmp_path_factory.mktemp("methods") / "run"
    shutil.copytree(finished_run, out)
    done = preloaded(*words(out))
    assert done.code == 0, done.err
    (out.parent / "printed").write_text(done.out)
    return out


@pytest.fixture
def compared_copy(compared_run, tmp_path):
    return Path(shutil.copytree(compared_run, tmp_path / "run"))


def weights(run):
    return {str(p.relative_to(run)): p.read_bytes() for p in run.rglob("weights.safetensors")}


def test_methods_are_added_to_what_the_run_has(compared_run, finished_run):
    printed = (compared_run.parent / "printed").read_text()
    assert printed.count("done already") == 7  # SHARED, one seed
    before, after = weights(finished_run), weights(compared_run)
    assert {name: after[name] for name in before} == before
    assert (compared_run / "maps" / "maps-00000.safetensors").read_bytes() == (
        finished_run / "maps" / "maps-00000.safetensors"
    ).read_bytes()
    kept = load_file(compared_run / "maps-compared" / "maps-00000.safetensors")
    assert set(kept) == {"final"}  # the level that the run itself does not keep


def test_every_method_is_a_variant_with_its_gain(compared_run, finished_run):
    results = read_results(compared_run / "results.json")
    assert list(results.variants) == ["teacher", "plain", *NAMES, "regions"]
    assert list(results.gains) == list(NAMES)
    assert {
        variant.seeds[0].updates for key, variant in results.variants.items() if key != "teacher"
    } == {16}
    for name in NAMES:
        variant, gain = results.variants[name], results.gain_of(name)
        assert gain.per_seed[0] == pytest.approx(
            variant.spread("map").mean - results.variants["plain"].spread("map").mean
        )
        assert gain.map.low <= gain.map.mean <= gain.map.high
        assert variant.parameters == results.variants["plain"].parameters
    plain = read_results(finished_run / "results.json")
    assert results.gain == plain.gain
    assert (
        results.variants["regions"].seeds[0].metrics == plain.variants["regions"].seeds[0].metrics
    )
    label = "student with distillation (weighted regions + class-aware)"
    assert results.variants["regions"].label == label
    assert plain.gains == {}


def test_methods_differ_and_start_alike(compared_run):
    """Each trains another student; with one seed all have the plain student's batches."""
    found = weights(compared_run)
    students = [v for name, v in found.items() if name.startswith("students/")]
    assert len(set(students)) == len(students) == len(NAMES) + 2
    first = {
        name: json.loads((compared_run / folder / "events.jsonl").read_text().splitlines()[0])
        for name, folder in (
            ("plain", "students/plain/32px/seed-0"),
            *((n, f"students/{n}/32px/seed-0") for n in ("hinton", "class-aware")),
        )
    }
    assert len({event["tags"] for event in first.values()}) == 1


def test_tables_show_every_method(compared_run):
    printed = (compared_run.parent / "printed").read_text()
    page = (compared_run / "report.html").read_text("utf-8")
    for text in ("Hinton distillation", "attention transfer", "NMS regions + class-aware"):
        assert text in page
        assert text.split()[0] in printed
    assert "each student against the plain one" in printed


def test_killed_in_the_steps_of_methods(preloaded, compared_run, tmp_path):
    out = tmp_path / "run"
    for step in SHARED:
        shutil.copytree(compared_run / step, out / step)
    for step, change in KILLS.items():
        done = preloaded(*words(out, verb="evaluate"), after=change, below=out / step)
        assert done.code == -signal.SIGKILL, f"{step}: {done.err}"
        assert json.loads((out / step / "step.json").read_text())["status"] == "running"
        if step != "maps-compared":
            assert (out / step / "checkpoint.safetensors").exists()
            assert not (out / step / "weights.safetensors").exists()
    done = preloaded(*words(out, verb="evaluate"))
    assert done.code == 0, done.err
    assert weights(out) == weights(compared_run)
    name = "evaluate/predictions.safetensors"
    assert (out / name).read_bytes() == (compared_run / name).read_bytes()


def test_a_second_command_does_nothing(compared_run, preloaded):
    before = {p: p.stat().st_mtime_ns for p in compared_run.rglob("*") if p.is_file()}
    done = preloaded(*words(compared_run))
    assert done.code == 0, done.err
    assert "begins" not in done.err
    assert {p: p.stat().st_mtime_ns for p in compared_run.rglob("*") if p.is_file()} == before


def test_a_changed_method_is_refused_by_its_own_name(compared_copy, preloaded):
    done = preloaded(*words(compared_copy, "--hinton.temperature", "5"))
    done.refused(
        "students/hinton/32px/seed-0: hinton.temperature: 2.0 -> 5.0",
        "--force hinton --force fitnets-hinton",
    )
    before = weights(compared_copy)
    done = preloaded(
        *words(compared_copy, "--hinton.temperature", "5", "--force", "hinton", "--force",
               "fitnets-hinton", verb="evaluate")
    )  # fmt: skip
    assert done.code == 0, done.err
    after = weights(compared_copy)
    assert {name for name in after if after[name] != before.get(name)} == {
        "students/hinton/32px/seed-0/weights.safetensors",
        "students/fitnets-hinton/32px/seed-0/weights.safetensors",
    }


def test_a_run_without_methods_leaves_their_steps_alone(compared_copy, preloaded):
    done = preloaded(*train_words(compared_copy, verb="evaluate"))
    assert done.code == 0, done.err
    assert (compared_copy / "students/hinton/32px/seed-0/step.json").exists()
    found = load_file(compared_copy / "evaluate" / "predictions.safetensors")
    assert {key.split(".")[0] for key in found} == {"teacher", "plain", "regions"}


def test_another_own_method_takes_what_was_compared(compared_copy, compared_run, preloaded):
    """The method of the run decides what is compared with it, not how students are trained."""
    done = preloaded(*train_words(compared_copy, "--method", "regions-nms", verb="distill"))
    assert done.code == 0, done.err
    assert "begins" not in done.err
    done = preloaded(*train_words(compared_copy, "--method", "regions-nms", "--methods", "hinton"))
    assert done.code == 0, done.err
    assert weights(compared_copy) == weights(compared_run)
    results = read_results(compared_copy / "results.json")
    assert list(results.variants) == ["teacher", "plain", "hinton", "regions-nms"]
    assert results.gain == read_results(compared_run / "results.json").gain_of("regions-nms")


def test_an_online_teacher_serves_whole_map_methods_too(finished_run, tmp_path, preloaded):
    out = tmp_path / "run"
    for step in ("proposals", "teacher"):
        shutil.copytree(finished_run / step, out / step)
    online = ("--stage1.teacher_maps", "online", "--method", "class-aware")
    shorter = ("--stage1.optim.epochs", "0.5", "--attention.form", "paper")
    done = preloaded(
        *train_words(out, "--methods", "fitnets,attention", *online, *shorter, verb="evaluate")
    )
    assert done.code == 0, done.err
    assert not list(out.glob("maps*"))
    folders = ("features/hint", "students/fitnets", "students/attention")
    last = {
        name: (out / name / "32px/seed-0/events.jsonl").read_text().splitlines()[-1]
        for name in folders
    }
    assert [json.loads(last[name])["update"] + 1 for name in folders] == [4, 4, 8]


@pytest.mark.parametrize(
    ("given", "texts"),
    [
        ("hintom", ("methods: unknown method 'hintom'", "Did you mean 'hinton'")),
        ("hinton,hinton", ("one is named twice",)),
    ],
)
def test_wrong_names(tmp_path, preloaded, given, texts):
    done = preloaded(*train_words(tmp_path / "run", "--methods", given))
    done.refused(*texts)
    assert not os.path.lexists(tmp_path / "run")


def test_a_level_that_a_network_has_not(finished_run, tmp_path, preloaded):
    out = tmp_path / "run"
    shutil.copytree(finished_run, out)
    wrong = ("--methods", "attention", "--attention.levels", '["stride3"]')
    done = preloaded(*train_words(out, *wrong))
    done.refused("attention.levels", "'stride3'")
