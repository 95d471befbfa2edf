"""Ctrl-C: one line that says how to go on, whatever was under way."""

import os
import signal
import time
from pathlib import Path

import pytest
from command_line import SPEC, begin

from boxless.cli import app as command_line
from boxless.errors import StoreError


@pytest.fixture
def interruptible():
    """SIGINT raises KeyboardInterrupt, in tests that were started in the background too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(
    "error", [ValueError("no shape"), StoreError("it is damaged"), OSError(5, "")]
)
def test_an_interrupt_that_a_library_turns_into_an_error(monkeypatch, capsys, error):
    """safetensors and torch do: reading a tensor then fails with a ValueError."""

    def library(*_, **__):
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise error from None

    monkeypatch.setattr(command_line, "command_line", lambda _: library)
    with pytest.raises(SystemExit) as stop:
        command_line.main([])
    assert stop.value.code == 130
    assert "run the same command again" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_same_error_without_an_interrupt_is_not_hidden(monkeypatch):
    def library(*_, **__):
        raise ValueError("no shape")

    monkeypatch.setattr(command_line, "command_line", lambda _: library)
    with pytest.raises(ValueError, match="no shape"):
        command_line.main([])


def workers_of(pid: int) -> list[str]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    commands = [Path(f"/proc/{child}/cmdline").read_bytes() for child in listed]
    return [child for child, words in zip(listed, commands, strict=True) if b"spawn_main" in words]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux")
@pytest.mark.parametrize("pause", [0.0, 0.15])
def test_worker_processes_end_without_a_word(tmp_path, pause):
    """In the first moments of a worker, too, when it imports what it needs."""
    words = ["proposals", SPEC, "--method", "edge_boxes", "--workers", "2", "--out", "boxes"]
    process = begin(*words, cwd=tmp_path)
    end = time.monotonic() + 100
    while process.poll() is None and not workers_of(process.pid) and time.monotonic() < end:
        time.sleep(0.001)
    time.sleep(pause)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=100)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "SpawnProcess" not in err
    assert "run the same command again" in err
