"""The command line under torchrun: as one process, workers killed, clear refusals."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from command_line import HERE, SOURCE, environment, train_words
from safetensors.torch import load_file
from several_runs import SPEC

WEIGHTS = "weights.safetensors"
TRAINED = ("teacher", "features/regions/32px/seed-0", "students/regions/32px/seed-0")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folder of the runs of ``several_runs.py``."""
    out = tmp_path_factory.mktemp("several")
    paths = os.pathsep.join(map(str, (SOURCE, HERE, HERE.parent / "training")))
    done = subprocess.run(
        [sys.executable, str(HERE / "several_runs.py"), str(out)],
        env=environment(PYTHONPATH=paths),
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return out


def ended(runs, name):
    return [int(code) for code in (runs / f"{name}.ended" / "codes").read_text().split()]


def log(runs, name):
    return (runs / f"{name}.log").read_text()


def test_two_processes_give_what_one_gives(runs):
    """Teacher with folds, maps, cache, both stages, the plateau on held-out images."""
    assert ended(runs, "one") == [0], log(runs, "one")
    assert ended(runs, "two") == [0, 0], log(runs, "two")
    for step in TRAINED:
        one, two = (load_file(runs / name / step / WEIGHTS) for name in ("one", "two"))
        assert one.keys() == two.keys()
        for key, value in one.items():
            torch.testing.assert_close(
                two[key], value, rtol=1e-5, atol=1e-5, msg=lambda text, at=key: f"{at}: {text}"
            )


def test_the_first_process_alone_speaks_and_works(runs):
    told = log(runs, "two")
    record = json.loads((runs / "two" / "teacher" / "step.json").read_text())
    assert record["facts"]["processes"] == 2
    assert told.count("teacher begins") == told.count("students/regions/32px/seed-0 done") == 1
    assert "process 1 of 2" not in told


def test_first_process_killed_and_gone_on_with_three(runs):
    killed, told = ended(runs, "killed"), log(runs, "killed")
    assert killed[0] == -signal.SIGKILL
    assert killed[1] == 2, told
    assert "Traceback" not in told
    assert ended(runs, "on-three") == [0, 0, 0], log(runs, "on-three")
    assert "students/plain/32px/seed-0 resumes" in log(runs, "on-three")


def torchrun(out, *words, restarts=0):
    options = ["--standalone", "--nproc-per-node", "2", "--max-restarts", str(restarts)]
    command = train_words(out, "--run.checkpoint_seconds", "0", *words, verb="baseline", spec=SPEC)
    return subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", *options, "-m", "boxless", *command],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for_checkpoint(out, process):
    path = out / "students/plain/32px/seed-0" / "checkpoint.safetensors"
    end = time.monotonic() + 600  # a safety net: other work may hold the machine
    while not path.exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.002)


def worker(parent: int, rank: int) -> int:
    """Process id of one of torchrun's workers."""
    for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        if f"\0RANK={rank}\0" in Path(f"/proc/{child}/environ").read_text():
            return int(child)
    raise AssertionError("no such worker")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for workers in /proc")
def test_a_killed_worker_is_started_again(runs, tmp_path):
    """With --max-restarts the job goes on from its checkpoint, to the same bits."""
    out = tmp_path / "run"
    process = torchrun(out, restarts=1)
    try:
        wait_for_checkpoint(out, process)
        os.kill(worker(process.pid, 1), signal.SIGKILL)
        _, err = process.communicate(timeout=600)
    finally:
        process.kill()
    assert process.returncode == 0, err
    assert "students/plain/32px/seed-0 begins" in err
    assert "students/plain/32px/seed-0 resumes" in err
    found, wanted = (
        load_file(run / "students/plain/32px/seed-0" / WEIGHTS)
        for run in (out, runs / "undisturbed")
    )
    assert [key for key in wanted if not torch.equal(found[key], wanted[key])] == []


@pytest.mark.slow
def test_stopped_it_tells_how_to_go_on(tmp_path):
    out = tmp_path / "run"
    process = torchrun(out)
    try:
        wait_for_checkpoint(out, process)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=600)
    finally:
        process.kill()
    assert process.returncode != 0
    assert err.count("run the same command again to resume from the last checkpoint") == 1, err
    assert '"status": "running"' in (out / "students/plain/32px/seed-0" / "step.json").read_text()


@pytest.fixture
def second_of_two(monkeypatch):
    given = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
    for name, value in {**given, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)


def test_what_does_not_train_is_refused(app, second_of_two):
    app("predict", "student.onnx", "photo.jpg").refused(
        "process 1 of 2: error: `boxless predict` was started in 2 processes"
    )


def test_forced_restarts_are_refused(app, second_of_two, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCHELASTIC_MAX_RESTARTS", "3")
    words = train_words(tmp_path / "run", "--force", "teacher", spec=SPEC)
    app(*words).refused("--force with --max-restarts 3")
    assert not (tmp_path / "run").exists()


def test_mistyped_words_are_told_once(app, second_of_two):
    done = app("train", "--nonsense")
    assert done.code == 2
    assert done.err == ""
