"""Which steps are done, done again, refused: with stand-ins for the real steps."""

import json
import os

import pytest

from boxless.data.sources import load_manifest
from boxless.errors import BoxlessError, ConfigError, NumericsError, RunError
from boxless.files.lock import held
from boxless.recipe.recipe_files import load_recipe
from boxless.runs import execute as module
from boxless.runs.context import Run
from boxless.runs.plan import VERBS, Step, plan
from boxless.runs.record import StepRecord, differences, read_record, to_json


@pytest.fixture
def run(tmp_path):
    manifest = load_manifest("scenes:train=20,test=5,size=64")
    return Run(tmp_path / "run", "scenes:", load_recipe("demo"), manifest)


class Steps:
    """Three steps in a row and one aside; remembers what was carried out."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.settings = {name: {"x": 1} for name in ("teacher", "cache", "plain", "evaluate")}
        self.failing: dict[str, BaseException] = {}

    def plan(self, _):
        def action(name):
            def act(run, folder):
                if name in self.failing:
                    raise self.failing[name]
                self.done.append(name)
                (folder / "result").write_text(name)
                return {"seconds_before": 1.5}

            return act

        needs = {"teacher": (), "cache": ("teacher",), "plain": (), "evaluate": ("cache",)}
        return [
            Step(name, name, self.settings[name], need, action(name), cheap=name == "evaluate")
            for name, need in needs.items()
        ]


@pytest.fixture
def steps(monkeypatch):
    found = Steps()
    monkeypatch.setattr(module, "plan", found.plan)
    monkeypatch.setattr(module, "_check_networks", lambda *_: None)
    monkeypatch.setattr("boxless.runs.forecast.pace_of", lambda _: None)
    return found


def carry_out(run, steps, **options) -> list[str]:
    steps.done.clear()
    module.execute(run, **options)
    return list(steps.done)


def test_everything_once(run, steps):
    assert carry_out(run, steps) == ["teacher", "cache", "plain", "evaluate"]
    assert carry_out(run, steps) == []
    assert 1.5 <= read_record(run.folder / "cache").seconds < 10  # 1.5 of an earlier attempt


@pytest.mark.parametrize("load", [1.0, 9.0])
def test_a_forecast_beside_other_work_says_so(run, steps, load, monkeypatch, capsys):
    class Pace:
        def seconds(self, run, item):
            return 60.0

    monkeypatch.setattr("boxless.runs.forecast.pace_of", lambda _: Pace())
    monkeypatch.setattr("boxless.runs.forecast.available_cores", lambda: 2)
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
    carry_out(run, steps, until="cache")
    told = capsys.readouterr().err
    assert "2 steps to do, about " in told
    assert ("measured beside other work (load 9 on 2 cores)" in told) == (load == 9)


def test_until_and_only(run, steps):
    assert carry_out(run, steps, until="cache") == ["teacher", "cache"]
    assert carry_out(run, steps, until="plain", only=True) == ["plain"]
    assert carry_out(run, steps) == ["evaluate"]


def test_only_does_what_it_needs(run, steps):
    assert carry_out(run, steps, until="cache", only=True) == ["teacher", "cache"]


def test_force_redoes_dependents_alone(run, steps):
    carry_out(run, steps)
    assert carry_out(run, steps, force=["cache"]) == ["cache", "evaluate"]
    assert carry_out(run, steps, force=["plain"]) == ["plain"]
    assert carry_out(run, steps, force=["teacher"]) == ["teacher", "cache", "evaluate"]


def test_forced_steps_are_all_thrown_away_first(run, steps):
    carry_out(run, steps)
    steps.failing["teacher"] = RunError("no")
    with pytest.raises(RunError):
        carry_out(run, steps, force=["teacher"])
    steps.failing.clear()
    assert carry_out(run, steps) == ["teacher", "cache", "evaluate"]


def test_changes_are_refused_and_nothing_is_touched(run, steps):
    carry_out(run, steps)
    steps.settings["cache"] = {"x": 2, "y": "new"}
    with pytest.raises(RunError) as stop:
        carry_out(run, steps)
    assert "cache:\n    x: 1 -> 2\n    y: '(not set)' -> 'new'" in stop.value.message
    assert "--force cache" in stop.value.hint
    assert steps.done == []
    assert carry_out(run, steps, force=["cache"]) == ["cache", "evaluate"]


def test_a_step_that_is_being_worked_on_is_refused(run, steps):
    carry_out(run, steps, until="teacher", force=["teacher"])  # the other process has begun the run
    with (
        held(run.folder / "cache"),
        pytest.raises(RunError, match="is being worked on by another process"),
    ):
        carry_out(run, steps)
    assert steps.done == []
    with held(run.folder / "teacher"), pytest.raises(RunError, match="worked on"):
        carry_out(run, steps, force=["teacher"])
    assert (run.folder / "teacher" / "result").exists()
    assert carry_out(run, steps) == ["cache", "plain", "evaluate"]


def test_a_cheap_step_follows_its_inputs_unasked(run, steps):
    carry_out(run, steps)
    steps.settings["evaluate"] = {"x": 2}
    assert carry_out(run, steps) == ["evaluate"]


def test_unknown_names(run, steps):
    with pytest.raises(ConfigError, match="Did you mean 'teacher'"):
        carry_out(run, steps, force=["teecher"])
    with pytest.raises(ConfigError, match="unknown step"):
        carry_out(run, steps, until="nothing")


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (OSError(28, "No space left on device", "/x"), RunError, "step cache stopped: No space"),
        (NumericsError("the loss became nan", hint="lower"), NumericsError, "step cache: the loss"),
        (OSError("unexpected"), OSError, "unexpected"),
        (ImportError("libx.so is gone", name="torch"), ImportError, "libx.so is gone"),
    ],
)
def test_failures_keep_finished_steps(run, steps, error, kind, text):
    steps.failing["cache"] = error
    with pytest.raises(kind, match=text):
        carry_out(run, steps)
    assert read_record(run.folder / "teacher").status == "done"
    assert read_record(run.folder / "cache").status == "running"
    steps.failing.clear()
    assert carry_out(run, steps) == ["cache", "plain", "evaluate"]


def test_leftovers_of_a_killed_attempt_are_swept_up(run, steps):
    steps.failing["teacher"] = RunError("killed")
    with pytest.raises(RunError):
        carry_out(run, steps)
    leftovers = [
        run.folder / "teacher" / ".weights.safetensors.7.tmp",
        run.folder / ".results.json.7.tmp",
    ]
    foreign = run.folder / ".diary.7.tmp"
    for path in (*leftovers, foreign):
        path.write_bytes(b"half")
    steps.failing.clear()
    carry_out(run, steps)
    assert not any(path.exists() for path in leftovers)
    assert foreign.exists()


@pytest.mark.parametrize("text", ["", "3", "[1]", '{"name": "x"}', '{"settings": 3, "name": "x"}'])
def test_damaged_records(tmp_path, text):
    (tmp_path / "step.json").write_text(text)
    with pytest.raises(BoxlessError, match=r"step\.json is damaged"):
        read_record(tmp_path)


def test_records_survive_a_round_trip(tmp_path):
    record = StepRecord("a/b", "student", {"x": 1.5, "l": ["a"]}, {"data": "f00d"}, facts={"n": 1})
    (tmp_path / "step.json").write_bytes(to_json(record))
    assert read_record(tmp_path) == record
    assert read_record(tmp_path / "none") is None


def test_fingerprints_follow_settings_and_inputs():
    base = StepRecord("a", "student", {"x": 1}, {"data": "1"})
    same = StepRecord(
        "a", "student", {"x": 1}, {"data": "1"}, status="done", seconds=5, facts={"a": 1}
    )
    assert base.fingerprint == same.fingerprint
    others = [
        StepRecord("a", "student", {"x": 2}, {"data": "1"}),
        StepRecord("a", "student", {"x": 1}, {"data": "2"}),
        StepRecord("b", "student", {"x": 1}, {"data": "1"}),
    ]
    assert base.fingerprint not in {other.fingerprint for other in others}


def test_differences_name_every_setting():
    assert differences({"a": 1, "b": 2}, {"b": 3, "c": 4}) == [
        "a: 1 -> '(not set)'",
        "b: 2 -> 3",
        "c: '(not set)' -> 4",
    ]
    assert differences({"a": [1]}, {"a": [1]}) == []


class TestPlan:
    """The real plan."""

    def make(self, tmp_path, **overrides):
        manifest = load_manifest("scenes:train=20,test=5,size=64")
        changes = {key.replace("__", "."): value for key, value in overrides.items()}
        return plan(Run(tmp_path, "scenes:", load_recipe("demo", changes), manifest))

    def test_needs_come_first_and_verbs_are_known(self, tmp_path):
        for changes in (
            {},
            {"run__seeds": "3"},
            {"method": "regions"},
            {"teacher__trainable": '"head"', "teacher__folds": "2"},
            {"baseline__input_sizes": "[96]"},
        ):
            seen: set[str] = set()
            for step in self.make(tmp_path, **changes):
                assert set(step.needs) <= seen, step.name
                assert step.verb in VERBS
                assert step.name not in seen
                seen.add(step.name)

    def test_every_setting_belongs_to_a_step_or_changes_no_result(self, tmp_path):
        from boxless.recipe.recipe_files import dotted

        free = ("run.seeds", "run.workers", "run.cache_gib", "run.threads", "run.checkpoint_")
        free += ("name", "description", "why", "baseline.input_sizes")
        free += ("baseline.optim", "baseline.most_updates")  # unset here
        free += (
            "method",
            "hinton.",
            "hint.",
            "attention.",
            "tags.",
        )  # of methods: test_method_plan
        free += ("data.single_positive", "run.tracker")  # where it is asked for; what is only told
        free += ("stage1.components",)  # 0 here: test_method_plan
        free += ("data.image_cache", "run.leaks")  # the first but for "sized", see below
        free += ("run.engine", "run.ray_address")  # the same bytes wherever they are computed
        used: set[str] = set()
        for method in ("edge_boxes", "file", "faster_rcnn"):  # each has settings of its own
            changes = {"proposals__method": f'"{method}"', "method": "regions"}
            for step in self.make(tmp_path, **changes):
                used |= step.settings.keys()
        missing = [k for k in dotted(load_recipe("demo")) if k not in used]
        assert [key for key in missing if not key.startswith(free)] == []

    def test_only_an_image_cache_that_changes_pixels_is_a_setting(self, tmp_path):
        plain, off, sized = (
            [step.settings for step in self.make(tmp_path, data__image_cache=f'"{mode}"')]
            for mode in ("auto", "off", "sized")
        )
        assert plain == off != sized

    def test_seeds_do_not_touch_each_other(self, tmp_path):
        one = {s.name: s.settings for s in self.make(tmp_path)}
        two = {s.name: s.settings for s in self.make(tmp_path, run__seeds="2")}
        assert {name: two[name] for name in one} == one

    def test_the_plain_budget_follows_both_stages(self, tmp_path):
        """Its updates are those of both stages, so their batch sizes and epochs are its own."""
        name = "students/plain/96px/seed-0"
        before = {s.name: s.settings for s in self.make(tmp_path, method="regions")}[name]
        for change in ("stage1__optim__batch_size", "stage2__optim__epochs"):
            changes = {"method": "regions", change: "11"}
            after = {s.name: s.settings for s in self.make(tmp_path, **changes)}
            assert after[name] != before


def test_saved_settings_are_left_alone_when_nothing_changed(run, steps):
    carry_out(run, steps)
    path = run.folder / "recipe.toml"
    os.utime(path, ns=(1, 1))
    carry_out(run, steps)
    assert path.stat().st_mtime_ns == 1
    assert load_recipe(str(path)) == run.recipe
    assert json.loads((run.folder / "teacher" / "step.json").read_text())["status"] == "done"
