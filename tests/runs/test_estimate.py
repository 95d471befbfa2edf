"""Time of steps to come, from made-up records of steps that are done."""

from dataclasses import replace

import pytest

from boxless.data.sources import load_manifest
from boxless.recipe.recipe_files import load_recipe
from boxless.runs.context import Run
from boxless.runs.outlook import Timings, outlook
from boxless.runs.record import to_json

BATCH, TRAIN = 16, 90  # 100 less those held out


def make(folder, methods="hinton,attention,fitnets,regions-nms", **changes):
    names = ",".join(f'"{name}"' for name in methods.split(",") if name)
    given = {"methods": f"[{names}]", **{k.replace("__", "."): v for k, v in changes.items()}}
    manifest = load_manifest("scenes:train=100,test=10,size=64")
    return Run(folder, "scenes:", load_recipe("voc-lite0", given), manifest)


def records(run):
    return {item.step.name: item.record for item in outlook(run)}


def finish(run, name, seconds, *, updates=None, finished="2026-01-01"):
    """Leave a step's record behind, with a training step's number of updates."""
    record = records(run)[name]
    facts = {} if updates is None else {"updates": updates, "images": updates * BATCH}
    folder = run.folder / name
    folder.mkdir(parents=True)
    made = replace(record, status="done", seconds=seconds, facts=facts, finished=finished)
    (folder / "step.json").write_bytes(to_json(made))


def estimate(run, *folders):
    return Timings(folders or (run.folder,)).estimate(run, outlook(run))


def test_nothing_is_known_where_nothing_was_done(tmp_path):
    run = make(tmp_path / "run")
    found = estimate(run)
    assert found.seconds == {}
    assert found.total == 0
    assert set(found.unknown) == set(records(run))


def test_students_take_what_a_student_took_for_each_image(tmp_path):
    """A student of 5 updates of 16 images in 8 s: a tenth of a second an image."""
    run = make(tmp_path / "run")
    finish(run, "students/plain/128px/seed-0", 8.0, updates=5)
    found = estimate(run).seconds
    second, first = (stage.optim.epochs for stage in (run.recipe.stage2, run.recipe.stage1))
    image = 8.0 / (5 * BATCH)
    assert found["students/regions/128px/seed-0"] == pytest.approx(image * second * TRAIN, rel=0.03)
    assert found["students/hinton/128px/seed-0"] == pytest.approx(
        image * (first + second) * TRAIN, rel=0.03
    )
    assert found["students/fitnets/128px/seed-0"] == pytest.approx(image * second * TRAIN, rel=0.03)
    assert "features/regions/128px/seed-0" not in found


def test_first_phases_are_alike(tmp_path):
    run = make(tmp_path / "run")
    finish(run, "features/regions/128px/seed-0", 3.0, updates=10)
    found = estimate(run)
    wanted = 3.0 / (10 * BATCH) * run.recipe.stage1.optim.epochs * TRAIN
    for name in ("features/hint/128px/seed-0", "features/regions-nms/128px/seed-0"):
        assert found.seconds[name] == pytest.approx(wanted, rel=0.03)
    assert "students/regions/128px/seed-0" in found.unknown


def test_another_network_or_size_tells_nothing(tmp_path):
    run = make(tmp_path / "run")
    changed = {"teacher__kind": "wsddn", "teacher__trainable": "all", "teacher__folds": "0"}
    changed["student__input_size"] = "192"
    other = make(tmp_path / "other", "", **changed)
    finish(other, "students/plain/192px/seed-0", 8.0, updates=5)
    finish(other, "teacher", 8.0, updates=5)
    assert estimate(run, other.folder).seconds == {}
    assert "students/regions/192px/seed-0" in estimate(other).seconds


def test_the_latest_counts(tmp_path):
    run = make(tmp_path / "run", run__seeds="2")
    finish(run, "students/plain/128px/seed-0", 8.0, updates=5, finished="2026-01-02")
    finish(run, "students/plain/128px/seed-1", 80.0, updates=5, finished="2026-01-01")
    slow = 80.0 / (5 * BATCH) * run.recipe.stage2.optim.epochs * TRAIN
    assert estimate(run).seconds["students/regions/128px/seed-0"] == pytest.approx(
        slow / 10, rel=0.03
    )


def test_all_else_takes_as_long_as_before_on_the_same_images(tmp_path):
    other, run = make(tmp_path / "other", ""), make(tmp_path / "run")
    for name, seconds in (("proposals", 20.0), ("maps", 30.0), ("cache", 5.0), ("evaluate", 4.0)):
        finish(other, name, seconds)
    found = estimate(run, other.folder, run.folder).seconds
    assert (found["proposals"], found["maps"], found["cache"]) == (20, 30, 5)
    ours, theirs = (len(records(r)["evaluate"].inputs) for r in (run, other))
    assert ours > theirs
    assert found["evaluate"] == pytest.approx(4 * ours / theirs, rel=0.03)
    fewer = replace(run, manifest=load_manifest("scenes:train=50,test=10,size=64"))
    assert estimate(fewer, other.folder).seconds == {}


def test_damaged_records_are_left_to_their_own_run(tmp_path):
    run = make(tmp_path / "run")
    (tmp_path / "other" / "teacher").mkdir(parents=True)
    (tmp_path / "other" / "teacher" / "step.json").write_text("{")
    assert estimate(run, tmp_path / "other").seconds == {}
