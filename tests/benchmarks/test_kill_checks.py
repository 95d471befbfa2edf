"""What the kill campaign looks at after each kill: it must see each kind of fault."""

import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from boxless.files.seals import write_sealed

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def checks():
    sys.path.insert(0, str(REPOSITORY / "benchmarks"))  # where it finds its neighbours
    try:
        return importlib.import_module("kill_checks")
    finally:
        sys.path.pop(0)


def checkpoint(path: Path, value: float, update: int = 3, **extra) -> Path:
    progress = {"update": update, "seconds": value, "plateau": {}, "extra": extra}
    tensors = {"optimizer.0.exp_avg": np.full(4, value if value < 2 else 1.0, np.float32)}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_sealed(path, save(tensors, {"progress": json.dumps(progress)}))
    return path


@pytest.fixture
def run(tmp_path):
    """A finished teacher, and a stage that is under way."""
    record = {"name": "x", "kind": "x", "settings": {}, "inputs": {}, "seconds": 1.0}
    for name, status in (("teacher", "done"), ("features/regions/32px/seed-0", "running")):
        folder = tmp_path / "run" / name
        folder.mkdir(parents=True)
        (folder / "step.json").write_text(json.dumps(record | {"status": status}))
    write_sealed(tmp_path / "run/teacher/weights.safetensors", save({"w": np.zeros(64)}))
    checkpoint(tmp_path / "run/features/regions/32px/seed-0/checkpoint.safetensors", 1.0)
    return tmp_path / "run"


def test_a_finished_step_that_is_written_again(checks, run):
    before = checks.finished_steps(run)
    assert list(before) == ["teacher"]
    assert checks.touched_steps(before, checks.finished_steps(run)) == []
    weights = run / "teacher" / "weights.safetensors"
    shutil.copy(weights, run / "same")
    (run / "same").replace(weights)  # the same bytes, made again
    assert len(checks.touched_steps(before, checks.finished_steps(run))) == 1


def test_a_damaged_file(checks, run):
    assert checks.damaged_files(run) == []
    weights = run / "teacher" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert "weights.safetensors" in checks.damaged_files(run)[0]
    assert checks.damaged_files(run / "nothing") == []


@pytest.mark.parametrize(
    ("change", "faults"),
    [
        ({"value": 3.0}, []),  # the seconds alone
        ({"value": 1.5}, ["optimizer.0.exp_avg differs"]),
        ({"value": 1.0, "scale": 2}, ["extra differs"]),
        ({"value": 1.0, "update": 4}, ["no checkpoint of 4 updates"]),
    ],
)
def test_checkpoints_are_those_of_the_trace(checks, run, tmp_path, change, faults):
    trace = tmp_path / "trace"
    checkpoint(trace / "2.safetensors", 1.0)
    place = run / "features/regions/32px/seed-0"
    lines = [
        {"path": str(run / "teacher" / "step.json")},
        {"path": str(place / ".checkpoint.tmp"), "kept": "2.safetensors"},
    ]
    (trace / "changes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = checks.Trace.read(trace, run, ["teacher", "features/regions/32px/seed-0"])
    assert found.changes == {"teacher": 1, "features/regions/32px/seed-0": 1}
    checkpoint(place / "checkpoint.safetensors", **change)
    strange = found.strange_checkpoints(run)
    assert len(strange) == len(faults)
    assert all(fault in text for fault, text in zip(faults, strange, strict=True))


def test_a_process_that_lives_on(checks):
    words = [sys.executable, "-c", "import time; time.sleep(100)"]
    with subprocess.Popen(words, start_new_session=True) as process:
        assert checks.survivors(process.pid, patience=0.1) != []
        process.kill()
        process.wait()
        assert checks.survivors(process.pid) == []
