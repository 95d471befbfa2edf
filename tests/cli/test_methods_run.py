"""A run that compares every method, through the real command."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
from command_line import boxless, train_words
from safetensors.numpy import load_file

from boxless.report.results import read_results

NAMES = (
    "hinton", "attention", "fitnets", "fitnets-hinton", "class-aware", "hint-class-aware",
    "regions-nms",
)  # fmt: skip
ALL = ",".join([*NAMES, "regions"])  # the last one is the tiny recipe's own
SHARED = ("proposals", "teacher", "maps", "cache", "baseline", "stage1", "stage2")
WIDE = ("--attention.levels", '["stride16", "final"]')
KILLS = {
    # step, in the order of the plan: number of the change below its folder that never happens
    "methods/maps": 7,  # one of two shards is there
    "methods/hinton/stage2/seed-0": 21,
    "methods/attention/stage2/seed-0": 21,
    "methods/hint/stage1/seed-0": 14,
    "methods/fitnets/stage2/seed-0": 14,
    "methods/regions-nms/stage1/seed-0": 14,
}


def words(out, *more, verb="train"):
    return train_words(
        out, "--methods", ALL, *WIDE, "--run.checkpoint_seconds", "0", *more, verb=verb
    )


@pytest.fixture(scope="module")
def compared_run(finished_run, tmp_path_factory):
    """Methods added to a finished run by the real command; look, don't touch."""
    out = tmp_path_factory.mktemp("methods") / "run"
    shutil.copytree(finished_run, out)
    done = boxless(*words(out))
    assert done.code == 0, done.err
    (out.parent / "out").write_text(done.out)
    (out.parent / "err").write_text(done.err)
    return out


@pytest.fixture
def compared_copy(compared_run, tmp_path):
    return Path(shutil.copytree(compared_run, tmp_path / "run"))


def weights(run):
    return {str(p.relative_to(run)): p.read_bytes() for p in run.rglob("weights.safetensors")}


def test_methods_are_added_to_what_the_run_has(compared_run, finished_run):
    err = (compared_run.parent / "err").read_text()
    assert err.count("done already") == 7  # SHARED, one seed
    before, after = weights(finished_run), weights(compared_run)
    assert {name: after[name] for name in before} == before
    assert (compared_run / "maps" / "maps-00000.safetensors").read_bytes() == (
        finished_run / "maps" / "maps-00000.safetensors"
    ).read_bytes()
    kept = load_file(compared_run / "methods" / "maps" / "maps-00000.safetensors")
    assert set(kept) == {"final"}  # the level that the run itself does not keep


def test_every_method_is_an_arm_with_its_gain(compared_run, finished_run):
    results = read_results(compared_run / "results.json")
    assert list(results.arms) == ["teacher", "baseline", *NAMES, "distilled"]
    assert list(results.gains) == list(NAMES)
    assert {arm.seeds[0].updates for key, arm in results.arms.items() if key != "teacher"} == {16}
    for name in NAMES:
        arm, gain = results.arms[name], results.gain_of(name)
        assert gain.per_seed[0] == pytest.approx(
            arm.spread("map").mean - results.arms["baseline"].spread("map").mean
        )
        assert gain.map.low <= gain.map.mean <= gain.map.high
        assert arm.parameters == results.arms["baseline"].parameters
    plain = read_results(finished_run / "results.json")
    assert results.gain == plain.gain
    assert results.arms["distilled"].seeds[0].metrics == plain.arms["distilled"].seeds[0].metrics
    assert results.arms["distilled"].label == "student with distillation (= regions)"
    assert plain.gains == {}


def test_methods_differ_and_start_alike(compared_run):
    """Each trains another student; with one seed all have the plain student's batches."""
    found = weights(compared_run)
    students = [v for name, v in found.items() if "stage2/" in name or "baseline/" in name]
    assert len(set(students)) == len(students) == len(NAMES) + 2
    first = {
        name: json.loads((compared_run / folder / "events.jsonl").read_text().splitlines()[0])
        for name, folder in (
            ("baseline", "baseline/seed-0"),
            *((n, f"methods/{n}/stage2/seed-0") for n in ("hinton", "class-aware")),
        )
    }
    assert len({event["tags"] for event in first.values()}) == 1


def test_tables_show_every_method(compared_run):
    printed = (compared_run.parent / "out").read_text()
    page = (compared_run / "report.html").read_text("utf-8")
    for text in ("Hinton distillation", "attention transfer", "NMS regions + class-aware"):
        assert text in page
        assert text.split()[0] in printed
    assert "each method against the plain student" in printed


def test_killed_in_the_steps_of_methods(preloaded, compared_run, tmp_path):
    out = tmp_path / "run"
    for step in SHARED:
        shutil.copytree(compared_run / step, out / step)
    for step, change in KILLS.items():
        done = preloaded(*words(out, verb="evaluate"), after=change, below=out / step)
        assert done.code == -signal.SIGKILL, f"{step}: {done.err}"
        assert json.loads((out / step / "step.json").read_text())["status"] == "running"
        if step != "methods/maps":
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
        "methods/hinton/stage2/seed-0: hinton.temperature: 2.0 -> 5.0",
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
        "methods/hinton/stage2/seed-0/weights.safetensors",
        "methods/fitnets-hinton/stage2/seed-0/weights.safetensors",
    }


def test_a_run_without_methods_leaves_their_steps_alone(compared_copy, preloaded):
    done = preloaded(*train_words(compared_copy, verb="evaluate"))
    assert done.code == 0, done.err
    assert (compared_copy / "methods" / "hinton" / "stage2" / "seed-0" / "step.json").exists()
    found = load_file(compared_copy / "evaluate" / "predictions.safetensors")
    assert {key.split(".")[0] for key in found} == {"teacher", "baseline", "distilled"}


def test_the_nms_method_is_the_recipe_with_nms(compared_copy, compared_run, preloaded):
    """Selected from kept s', or while keeping it: the same first phase, bit for bit."""
    nms = ("--stage1.selection", "nms", "--force", "cache", "--force", "stage1")
    done = preloaded(*train_words(compared_copy, *nms, "--force", "stage2", verb="distill"))
    assert done.code == 0, done.err
    name = "weights.safetensors"
    for own, method in (("stage1", "regions-nms/stage1"), ("stage2", "regions-nms/stage2")):
        found = (compared_copy / own / "seed-0" / name).read_bytes()
        assert found == (compared_run / "methods" / method / "seed-0" / name).read_bytes()


def test_an_online_teacher_serves_whole_map_methods_too(finished_run, tmp_path, preloaded):
    out = tmp_path / "run"
    for step in ("proposals", "teacher"):
        shutil.copytree(finished_run / step, out / step)
    online = ("--stage1.teacher_maps", "online", "--stage1.enabled", "false")
    shorter = ("--stage1.optim.epochs", "0.5", "--attention.form", "paper")
    done = preloaded(
        *train_words(out, "--methods", "fitnets,attention", *online, *shorter, verb="evaluate")
    )
    assert done.code == 0, done.err
    assert not (out / "maps").exists()
    assert not (out / "methods" / "maps").exists()
    events = {
        name: (out / name / "seed-0" / "events.jsonl").read_text().splitlines()[-1]
        for name in ("methods/hint/stage1", "methods/fitnets/stage2", "methods/attention/stage2")
    }
    updates = {name: json.loads(line)["update"] + 1 for name, line in events.items()}
    assert updates == {
        "methods/hint/stage1": 4, "methods/fitnets/stage2": 4, "methods/attention/stage2": 8
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "texts"),
    [
        ("hintom", ("methods: unknown method 'hintom'", "Did you mean 'hinton'")),
        ("hinton,hinton", ("a method is named twice",)),
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
