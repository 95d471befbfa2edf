"""Several gloo processes train what one does: same losses, same weights, whatever is killed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from several_case import CASES, THREE
from task_case import FOLDS, classifier_task, region_task, task, teacher_task
from training_case import IMAGES, REGIONS, stream

from boxless.errors import ConfigError
from boxless.files.launched import launched
from boxless.methods.attention import Attention
from boxless.methods.hint import Hint
from boxless.methods.tags import Tags
from boxless.training.events import CHECKPOINT, WEIGHTS, read_events

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folder of everything that ``several_case.py`` trains."""
    out = tmp_path_factory.mktemp("several")
    paths = os.pathsep.join([str(HERE.parents[1] / "src"), str(HERE)])
    done = subprocess.run(
        [sys.executable, str(HERE / "several_case.py"), str(out)],
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return out


def codes(folder):
    return [int(code) for code in (folder / "codes").read_text().split()]


def assert_close(first, second):
    one, two = load_file(first / WEIGHTS), load_file(second / WEIGHTS)
    assert one.keys() == two.keys()
    for key, value in one.items():
        torch.testing.assert_close(two[key], value, rtol=1e-4, atol=1e-5, msg=key)


def assert_same(first, second):
    one, two = load_file(first / WEIGHTS), load_file(second / WEIGHTS)
    assert [key for key, value in one.items() if not torch.equal(value, two[key])] == []


@pytest.mark.parametrize(
    ("case", "count"), [*((case, "two") for case in CASES), *((case, "three") for case in THREE)]
)
def test_as_one_process(trained, case, count):
    """Statistics of BatchNorm, cross-fitted heads, averages and the falling rate included."""
    assert codes(trained / count) == [0] * (2 if count == "two" else 3)
    first, second = trained / "one" / case, trained / count / case
    assert_close(first, second)
    one, other = read_events(first), read_events(second)
    assert len(one) == len(other) > 1
    for mine, theirs in zip(one, other, strict=True):
        assert mine["lr"] == theirs["lr"]
        assert theirs["loss"] == pytest.approx(mine["loss"], rel=1e-4)


def test_training_moved_the_weights(trained):
    """Or the comparison above would say nothing."""
    weights = load_file(trained / "one" / "baseline" / WEIGHTS)
    start = classifier_task().module.state_dict()
    moved = [k for k, v in weights.items() if v.is_floating_point() and not v.allclose(start[k])]
    assert len(moved) > 0.9 * sum(v.is_floating_point() for v in weights.values())


def test_killed_and_started_again_bit_for_bit(trained):
    """One process died by SIGKILL; with dropout."""
    assert codes(trained / "dropout") == codes(trained / "killed") == [0, 0]
    assert (trained / "killed" / "error-0").read_text().startswith("PeerError: another process")
    assert_same(trained / "dropout", trained / "killed")
    assert read_events(trained / "dropout") == read_events(trained / "killed")


@pytest.mark.parametrize("count", [1, 3])
def test_gone_on_with_another_number(trained, count):
    folder = trained / f"plain-killed-{count}"
    assert codes(trained / "plain-killed") == [2, -9]
    assert (trained / "plain-killed" / CHECKPOINT).exists()
    assert not (trained / "plain-killed" / WEIGHTS).exists()
    assert codes(folder) == [0] * count
    assert_close(trained / "one" / "baseline", folder)


def test_the_process_with_the_fault_tells_it(trained):
    folder = trained / "nan"
    assert codes(folder) == [2, 2]
    told = (folder / "error-1").read_text()
    assert told.startswith("NumericsError: the loss became nan in update 3, images ")
    assert "last good checkpoint is of update 2" in told
    assert (folder / "error-0").read_text().startswith("PeerError: the loss or gradient of another")
    assert not (folder / WEIGHTS).exists()


def test_more_processes_than_images_in_a_batch(trained):
    folder = trained / "five"
    assert codes(folder) == [2] * 5
    assert "batch_size = 4 leaves some of 5 processes without an" in (
        (folder / "error-3").read_text()
    )


@pytest.mark.parametrize("processes", [2, 3, 4])
def test_every_image_in_one_part(processes):
    whole = stream(batch_size=4)
    parts = [whole.part(rank, processes) for rank in range(processes)]
    for update in range(6):
        found = [sample for part in parts for sample in part.plan(update)]
        assert sorted(found, key=str) == sorted(whole.plan(update), key=str)
    batches = [next(part.batches(2, 3)) for part in parts]
    rows = [s.index for s in whole.plan(2)]
    assert all(batch.everyone.tolist() == rows for batch in batches)
    assert sum(batch.share for batch in batches) == pytest.approx(1)


def attention_task(form):
    return task(Tags, Attention, attention={"beta": 3.0, "form": form})


TASKS = {
    "teacher": teacher_task,
    "cross-fitted heads": lambda: teacher_task(heads=3, folds=FOLDS),
    "baseline": classifier_task,
    "bce": lambda: classifier_task(soft="bce"),
    "l2": lambda: classifier_task(soft="l2"),
    "regions, exact": region_task,
    "regions, max": lambda: region_task(form="max"),
    "hint": lambda: task(Hint, hint={"adapter": "identity"}),
    "attention": lambda: attention_task("released"),
    "attention, paper": lambda: attention_task("paper"),
}


@torch.no_grad()
@pytest.mark.parametrize("name", list(TASKS))
def test_every_loss_is_a_mean_over_images(name):
    """Weighted by their shares, the parts' losses are the whole batch's."""
    made = TASKS[name]()
    made.module.eval()
    if name in ("teacher", "cross-fitted heads"):
        made.detector.eval()
    whole = stream(REGIONS, batch_size=7)
    (batch,) = whole.batches(0, 1)
    parts = [next(whole.part(rank, 3).batches(0, 1)) for rank in range(3)]
    wanted = float(made.losses(batch)["loss"])
    found = sum(part.share * float(made.losses(part)["loss"]) for part in parts)
    assert found == pytest.approx(wanted, rel=1e-5)
    assert {len(part.index) for part in parts} == {2, 3}
    assert len(batch.index) <= IMAGES


def test_an_environment_that_contradicts_itself(monkeypatch):
    given = {"RANK": "2", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2"}
    for name, value in {**given, "MASTER_ADDR": "a", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="RANK=2, WORLD_SIZE=2"):
        launched()
    monkeypatch.setenv("RANK", "one")
    with pytest.raises(ConfigError, match="RANK=one"):
        launched()
    monkeypatch.delenv("LOCAL_RANK")  # a cluster's variables without a launcher's
    assert launched().count == 1
