"""Killed at any moment and started again, a run ends with the same bytes."""

import json
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from command_line import begin, train_words
from same_run import differences, results

KILLS = {
    # step: number of the change of the file system below its folder that never happens
    "proposals": (7, 11),
    "teacher": (8, 20),
    "maps": (8,),
    "cache": (8,),
    "students/plain/32px/seed-0": (9, 31),
    "features/regions/32px/seed-0": (21,),
    "students/regions/32px/seed-0": (14,),
    "evaluate": (7,),
    "calibrate": (5,),
    "locate": (7,),
    "export": (5,),
    "report": (6,),
}
"""The middle of each step: its record is written, its result is not."""


def words(out) -> tuple[str, ...]:
    return train_words(out, "--run.checkpoint_seconds", "0")  # a checkpoint after every update


def status(folder: Path) -> str:
    return json.loads((folder / "step.json").read_text())["status"]


def test_killed_in_every_step(preloaded, finished_run, tmp_path):
    out = tmp_path / "run"
    for step, changes in KILLS.items():
        for change in changes:
            done = preloaded(*words(out), after=change, below=out / step)
            assert done.code == -signal.SIGKILL, f"{step} {change}: {done.err}"
            assert status(out / step) == "running"
            if change == changes[-1] and step.startswith(("teacher", "students", "features")):
                assert (out / step / "checkpoint.safetensors").exists()
                assert not (out / step / "weights.safetensors").exists()
    done = preloaded(*words(out))
    assert done.code == 0, done.err
    assert "report resumes" in done.err
    assert done.err.count("done already") == len(KILLS) - 1
    assert differences(out, finished_run) == []


def test_killed_between_result_and_record(preloaded, finished_run, tmp_path):
    """The weights are there, the record still says running: the last updates are done again."""
    out = tmp_path / "run"
    shutil.copytree(finished_run / "proposals", out / "proposals")
    for change in range(9, 14):
        done = preloaded(*train_words(out, verb="teacher"), after=change, below=out / "teacher")
        if (out / "teacher" / "weights.safetensors").exists():
            break
    assert status(out / "teacher") == "running"
    assert preloaded(*train_words(out, verb="teacher")).code == 0
    name = "weights.safetensors"
    found = (out / "teacher" / name).read_bytes()
    assert found == (finished_run / "teacher" / name).read_bytes()
    assert done.code == -signal.SIGKILL


def test_killed_while_a_forced_step_is_thrown_away(preloaded, run_copy, finished_run):
    """A half-deleted step is never taken for a finished one."""
    forced = train_words(run_copy, "--force", "plain", verb="baseline")
    done = preloaded(*forced, after=2, below=run_copy / "students/plain")
    assert done.code == -signal.SIGKILL
    done = preloaded(*train_words(run_copy, "--run.checkpoint_seconds", "0", verb="baseline"))
    assert done.code == 0, done.err
    name = "students/plain/32px/seed-0/weights.safetensors"
    assert (run_copy / name).read_bytes() == (finished_run / name).read_bytes()


def wait_for(path: Path, process: subprocess.Popen) -> None:
    end = time.monotonic() + 600  # a safety net: other work may hold the machine
    while not path.exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.005)


def test_interrupted_says_how_to_go_on(finished_run, preloaded, tmp_path):
    out = tmp_path / "run"
    process = begin(*words(out))
    try:
        wait_for(out / "teacher" / "checkpoint.safetensors", process)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=600)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "run the same command again" in err
    assert status(out / "teacher") == "running"
    assert preloaded(*train_words(out, "--run.checkpoint_seconds", "0", verb="cache")).code == 0
    for step in ("teacher", "cache"):
        mine, theirs = results(out / step), results(finished_run / step)
        assert mine == theirs


@pytest.mark.slow
def test_killed_at_random_changes_of_the_file_system(preloaded, finished_run, tmp_path):
    rng = random.Random(0)
    out = tmp_path / "run"
    for _ in range(60):
        after = rng.randint(9, 60)
        done = preloaded(*words(out), after=after, below=out)
        assert done.code in (0, -signal.SIGKILL), done.err
        if done.code == 0:
            break
    assert preloaded(*words(out)).code == 0
    assert differences(out, finished_run) == []


@pytest.mark.slow
def test_killed_at_random_moments(preloaded, finished_run, tmp_path, monkeypatch):
    """A short version of the campaign whose figures are published."""
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2] / "benchmarks")
    from kill_campaign import Campaign

    campaign = Campaign(tmp_path, plain=0.0, preloaded=preloaded, whole=finished_run)
    survived = 0
    for life in range(10):  # a signal may come after the end of a run
        kills, faults = campaign.life(life, 10)
        assert faults == []
        assert [kill.faults for kill in kills] == [[]] * len(kills)
        survived += len(kills)
        if survived > 5:
            break
    assert survived > 5
