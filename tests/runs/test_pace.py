"""A trial of the machine: what it says grows with the work, and it leaves no trace."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from boxless.data.sources import load_manifest
from boxless.errors import ConfigError
from boxless.recipe.recipe_files import load_recipe
from boxless.runs import forecast as module
from boxless.runs.context import Run
from boxless.runs.forecast import Pace, forecast, pace_of, shipped, try_pace
from boxless.runs.outlook import Remaining, Timings, images_of, outlook

TINY = str(Path(__file__).parents[1] / "cli" / "tiny.toml")
PACE = Pace(propose=0.1, look=0.2, learn=0.05, map_bytes=1000, student=10, teacher=20)


def make(folder, scenes="train=50,test=10,size=64", recipe=TINY, **settings):
    changes = {key.replace("__", "."): value for key, value in settings.items()}
    spec = f"scenes:{scenes}"
    return Run(folder, spec, load_recipe(recipe, changes), load_manifest(spec))


def seconds(run, pace=PACE):
    return {item.step.name: pace.seconds(run, item) for item in outlook(run)}


def test_a_trial_of_a_runs_own_networks(tmp_path):
    run = make(tmp_path / "run")
    torch.manual_seed(3)
    state = torch.get_rng_state()
    found = try_pace(run)
    assert min(found.propose, found.look, found.learn) > 0
    assert found.student > 0
    assert torch.equal(torch.get_rng_state(), state)
    assert not run.folder.exists()


def test_a_trial_that_fails_is_none_and_the_run_will_say_why(tmp_path, monkeypatch):
    run = make(tmp_path / "run")
    lost = tuple(replace(record, path="/nowhere/a.jpg") for record in run.manifest.records)
    assert pace_of(replace(run, manifest=replace(run.manifest, records=lost))) is None
    single = make(tmp_path / "run", stage2__optim__batch_size="1")
    assert pace_of(single) is None
    with pytest.raises(ConfigError, match="batch_size = 1"):
        try_pace(single)
    monkeypatch.setattr(module, "try_pace", lambda _: PACE)
    assert pace_of(run) == PACE
    assert pace_of(make(tmp_path / "run", run__engine="ray")) is None


def test_a_busy_machine_is_named(monkeypatch):
    monkeypatch.setattr(module, "available_cores", lambda: 2)
    monkeypatch.setattr(module.os, "getloadavg", lambda: (0.5, 9.0, 9.0))
    assert module.busy() == ""
    monkeypatch.setattr(module.os, "getloadavg", lambda: (12.7, 0.0, 0.0))
    assert "load 13 on 2 cores" in module.busy()


def test_steps_take_what_their_images_take(tmp_path):
    run = make(tmp_path / "run")
    found, images = seconds(run), {i.step.name: images_of(run, i) for i in outlook(run)}
    assert images["proposals"] == 60
    assert found["proposals"] == pytest.approx(6.0)
    assert images["maps"] == images["cache"] == run.pool_size == 40  # 10 are held out
    students = [name for name in found if name.startswith("students/")]
    for name in students:
        assert found[name] == pytest.approx(0.05 * images[name])
    assert images["evaluate"] == 20


def test_untagged_images_count_though_nobody_looks_for_leaks(tmp_path):
    few = make(tmp_path / "run", data__tags="15")
    assert few.pool_size == 40
    assert len(few.train) == 15
    assert seconds(few)["cache"] == seconds(make(tmp_path / "run"))["cache"]
    assert seconds(few)["teacher"] < seconds(make(tmp_path / "run"))["teacher"]


def test_a_teacher_that_runs_along_costs_a_look_each_time(tmp_path):
    along = make(tmp_path / "run", stage1__teacher_maps="online")
    name = next(name for name in seconds(along) if name.startswith("features/"))
    assert seconds(along)[name] == pytest.approx(5 * seconds(make(tmp_path / "run"))[name])


def test_finished_steps_count_more_than_a_trial(tmp_path):
    run = make(tmp_path / "run")
    items = outlook(run)
    assert Timings([]).estimate(run, items).unknown
    found = Timings([]).estimate(run, items, PACE)
    assert not found.unknown
    assert found.total == pytest.approx(sum(seconds(run).values()))


def test_what_remains_shrinks_step_by_step(tmp_path):
    run = make(tmp_path / "run")
    items = outlook(run)
    remaining, each = Remaining(run, items, PACE), seconds(run)
    assert remaining.total() == pytest.approx(sum(each.values()))
    second = items[1].step.name
    found = remaining.step(second, 2, len(items))
    assert str(found) == f"[2/{len(items)}]"
    assert found.own == pytest.approx(each[second])
    rest = sum(each[item.step.name] for item in items[2:])
    assert found.later == pytest.approx(rest)
    assert Remaining(run, items, None).total() is None


def test_a_forecast_writes_nothing_and_names_what_is_shipped(tmp_path):
    run = make(tmp_path / "run")
    found = forecast(run)
    assert not run.folder.exists()
    assert found.disk["maps"] == found.pace.map_bytes * 40
    assert found.free > 0
    text = shipped(found)
    assert f"test_resnet at 32 px, {len(run.classes)} classes" in text
    assert "plain or regions, whichever is best on 10 held-out images" in text
    alone = forecast(make(tmp_path / "run", data__held_out="0"))
    assert "nothing is held out" in shipped(alone)
