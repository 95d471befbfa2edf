"""`make bench` runs all benchmarks, also behind a failing one, and says so with its exit code."""

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path):
    script = (REPOSITORY / "benchmarks" / "run_all.py").read_text(encoding="utf-8")
    (tmp_path / "run_all.py").write_text(script, encoding="utf-8")
    (tmp_path / "bench_a.py").write_text('"""First.\n\nMore."""\nraise SystemExit(3)\n')
    (tmp_path / "bench_b.py").write_text('"""Second."""\nprint("forty-two")\n')
    (tmp_path / "other.py").write_text('print("not a benchmark")\n')
    return tmp_path


def run(folder, *arguments):
    command = [sys.executable, str(folder / "run_all.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_failure_does_not_stop_the_others_and_is_reported(folder):
    done = run(folder)
    assert done.returncode == 1
    assert "== a: exit 3" in done.stdout
    assert "forty-two" in done.stdout
    assert "1 of 2 benchmarks ran to the end" in done.stdout
    assert "failed: a" in done.stderr
    assert "not a benchmark" not in done.stdout


def test_one_can_be_chosen(folder):
    done = run(folder, "b")
    assert done.returncode == 0
    assert "First." not in done.stdout


def test_an_unknown_name_is_refused_with_the_known_ones(folder):
    done = run(folder, "c")
    assert done.returncode == 2
    assert "known: a, b" in done.stderr


def test_list_shows_first_lines_and_runs_nothing(folder):
    done = run(folder, "--list")
    assert done.returncode == 0
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["a", "First."],
        ["b", "Second."],
    ]
