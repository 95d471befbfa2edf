"""Two processes on one step: the second is told, and a dead one holds nothing."""

import subprocess
import sys

import pytest

from boxless.errors import RunError
from boxless.files.lock import held

HOLD = """
import sys
from pathlib import Path
from boxless.files.lock import held
with held(Path(sys.argv[1])):
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path):
    """Another process that holds the folder until its input is closed."""
    words = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def test_the_second_is_told(tmp_path, other):
    with (
        pytest.raises(RunError, match="worked on by another process"),
        held(tmp_path),
    ):
        pass
    other.stdin.close()
    assert other.wait(30) == 0
    with held(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_a_killed_process_holds_nothing(tmp_path, other):
    other.kill()
    other.wait(30)
    with held(tmp_path):
        pass


def test_other_steps_are_free(tmp_path, other):
    with held(tmp_path / "stage1"):
        pass


def test_an_error_releases(tmp_path):
    with pytest.raises(KeyError), held(tmp_path):
        raise KeyError
    with held(tmp_path):
        pass
