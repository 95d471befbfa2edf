"""What auto stands for: measured once, kept, followed, and nothing at all without it."""

import json

import pytest

from boxless.data.sources import load_manifest
from boxless.errors import ConfigError, StoreError
from boxless.runs import computing
from boxless.runs.computing import NAME, decided, following, measured_for, read_computing
from boxless.runs.context import Run
from boxless.runs.plan import plan
from boxless.recipe.recipe_files import load_recipe
from boxless.report.computing import Computing
from boxless.training.fastest import Way

SPEC = "scenes:train=40,test=8,size=64"
SMALL = {"student.backbone": "test_resnet", "student.weights": "random", "student.input_size": "32"}


@pytest.fixture(scope="module")
def manifest():
    return load_manifest(SPEC)


@pytest.fixture
def make(tmp_path, manifest):
    def run(**changes):
        words = {f"run.{name}": value for name, value in changes.items()}
        return Run(tmp_path / "run", SPEC, load_recipe("demo", SMALL | words), manifest)

    return run


@pytest.fixture
def fake(monkeypatch):
    """Makes the next measurement come out as given."""
    seen = []

    def set_up(precision, code="no"):
        def found(run, before):
            seen.append(run.recipe.run.undecided)
            own = run.recipe.run
            taken = {"precision": own.precision, "compile": own.compile}
            given = {"precision": precision, "compile": code}
            taken |= {name: given[name] for name in own.undecided}
            return Computing(
                **taken, measured=(*before, *own.undecided), device="cpu", images=4, size=32,
                updates=10, ways=(Way("no", "no", 2.0), Way(taken["precision"], taken["compile"])),
            )  # fmt: skip

        monkeypatch.setattr(computing, "_measured", found)
        return seen

    return set_up


def chosen(run):
    return run.recipe.run.precision, run.recipe.run.compile


def test_without_auto_nothing_is_touched(make, fake):
    seen = fake("bf16")
    run = make(precision="bf16", compile="yes")
    assert decided(run) is run
    assert not run.folder.exists()
    assert seen == []


def test_measured_once_and_kept(make, fake, capsys):
    seen = fake("bf16", "yes")
    run = make(precision="auto", compile="auto")
    assert chosen(decided(run)) == ("bf16", "yes")
    assert "computing: bf16, compiled; an update of the student: float32: 2.00 ms" in (
        capsys.readouterr().err
    )
    before = (run.folder / NAME).read_bytes()
    fake("no")
    assert chosen(decided(run)) == ("bf16", "yes")
    assert (run.folder / NAME).read_bytes() == before
    assert seen == [("precision", "compile")]
    assert chosen(run) == ("auto", "auto")


def test_what_is_auto_later_is_measured_beside_what_was_decided(make, fake):
    fake("bf16")
    assert chosen(decided(make(precision="auto"))) == ("bf16", "no")
    seen = fake("fp16", "yes")
    assert chosen(decided(make(precision="auto", compile="auto"))) == ("bf16", "yes")
    assert seen == [("precision",), ("compile",)]
    assert read_computing(make().folder).measured == ("precision", "compile")


def test_results_tell_it_only_where_the_run_goes_by_it(make, fake):
    fake("bf16")
    assert measured_for(make()) is None
    run = decided(make(precision="auto"))
    assert measured_for(run).chosen.name == "bf16"
    assert measured_for(make(precision="bf16")) is not None  # recipe.toml says so later
    assert measured_for(make(precision="no")) is None


def test_the_others_follow_the_first(make):
    told = {"step": "teacher", "precision": "bf16", "compile": "yes"}
    assert chosen(following(make(precision="auto", compile="auto"), told)) == ("bf16", "yes")
    assert chosen(following(make(precision="auto"), told)) == ("bf16", "no")
    same = make()
    assert following(same, told) is same


@pytest.mark.parametrize("damage", ["not JSON", "{}", "[]", '{"precision": "fp8"}', "flipped"])
def test_a_damaged_file_is_refused(make, fake, damage):
    fake("bf16")
    run = make(precision="auto")
    decided(run)
    path = run.folder / NAME
    text = path.read_text().replace('"bf16"', '"fp16"') if damage == "flipped" else damage
    path.write_text(text)
    with pytest.raises(StoreError, match=r"computing\.json is damaged") as caught:
        decided(run)
    assert "delete it" in caught.value.hint


def test_compiling_is_a_setting_of_what_trains_a_backbone_and_old_runs_stay_valid(make):
    plain = {step.name: step.settings for step in plan(make())}
    fast = {step.name: step.settings for step in plan(make(compile="yes"))}
    assert not any("run.compile" in settings for settings in plain.values())
    changed = {name for name in fast if fast[name] != plain[name]}
    trunk = {"teacher"} if make().recipe.teacher.trainable == "all" else set()
    assert changed == {"baseline/seed-0", "stage2/seed-0", *trunk}
    assert fast["baseline/seed-0"]["run.compile"] == "yes"


def test_the_work_of_a_recipe(make):
    """40 images, 4 held out; the baseline has the updates of both stages."""
    run = make(seeds="2")
    updates = computing._work(run).updates
    both = run.recipe.stage2.optim.epochs + (
        run.recipe.stage1.optim.epochs if run.recipe.stage1.enabled else 0
    )
    each = both * len(run.train) / run.recipe.stage2.optim.batch_size
    assert updates == pytest.approx(2 * 2 * each, abs=4)
    assert computing._work(run).networks == 1 + run.recipe.stage1.enabled


def test_really_measured(make):
    """The whole way but for compiling, which so little work does not pay for."""
    run = decided(make(precision="auto", compile="auto", threads="1"))
    found = json.loads((run.folder / NAME).read_text())
    plain, mixed, code, both = found["ways"]
    assert plain["milliseconds"] > 0
    assert (mixed["precision"], code["compile"], both["compile"]) == ("bf16", "yes", "yes")
    assert mixed["left_out"] or mixed["milliseconds"] > 0
    assert code["left_out"]
    assert chosen(run)[1] == "no"
    assert (found["images"], found["size"]) == (16, 32)


def test_compile_yes_without_a_compiler_is_refused_before_work(make, monkeypatch):
    from boxless.runs.preflight import check_networks
    from boxless.training import compiling

    monkeypatch.setattr(compiling, "missing_compiler", lambda *_: "no C++ compiler is found")
    with pytest.raises(ConfigError, match=r"no C\+\+ compiler"):
        check_networks(make(compile="yes"), {"baseline"})
    with pytest.raises(ConfigError, match=r"no C\+\+ compiler"):
        decided(make(compile="yes", precision="auto"))
