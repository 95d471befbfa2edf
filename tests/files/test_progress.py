"""Progress over images: what earlier runs did counts as done, but not for the rate."""

import pytest

from boxless.files import progress
from boxless.files.progress import Overall, ProgressBar, step_of


@pytest.fixture
def every(monkeypatch):
    """A line for every piece of work, however fast it was."""
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)


def told(capsys):
    return [line.split(",")[0] for line in capsys.readouterr().err.splitlines()]


@pytest.mark.usefixtures("every")
def test_lines_where_there_is_no_terminal(capsys):
    with ProgressBar("proposing boxes") as shown:
        for done in (40, 41, 60):
            shown(done, 100)
    assert shown.new == 20
    assert shown.rate > 0
    assert told(capsys) == ["proposing boxes: 41/100", "proposing boxes: 60/100"]


@pytest.mark.usefixtures("every")
def test_images_counted_one_by_one(capsys):
    with ProgressBar("reading boxes", 3) as shown:
        for _ in range(3):
            shown.advance()
    assert shown.new == 3
    assert told(capsys)[-1] == "reading boxes: 3/3"


def test_a_line_each_quarter_with_the_rate_in_images(capsys, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with step_of(Overall(1, 2)), ProgressBar("stage 1", 8, per=16) as bar:
        for _ in range(8):
            now[0] += 2
            bar.advance(note=lambda: "loss 1")
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = [f"[1/2] stage 1: {n}/8, loss 1, 8.0 images/s" for n in (2, 4, 6, 8)]
    assert captured.err.splitlines() == lines


def test_work_that_is_no_step_of_a_run_is_silent_while_it_is_short(capsys):
    with ProgressBar("decoding", 8) as bar:
        bar.advance(8)
    assert capsys.readouterr().err == ""


def test_work_of_earlier_runs_counts_as_done(capsys):
    with step_of(Overall(1, 2)), ProgressBar("stage 1", 8, done=4) as bar:
        for _ in range(4):
            bar.advance()
    assert bar.new == 4
    assert told(capsys) == ["[1/2] stage 1: 6/8", "[1/2] stage 1: 8/8"]


def test_notes_are_asked_only_to_be_seen(capsys):
    asked = []
    with step_of(Overall(1, 2)), ProgressBar("stage 1", 8) as bar:
        for _ in range(8):
            bar.advance(note=lambda: str(asked.append(1)))
    assert len(asked) == 4
    assert capsys.readouterr().err.count("stage 1") == 4


def test_a_bar_asks_for_notes_now_and_then(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_NOTES", 1e-4)
    asked = []
    with ProgressBar("stage 1", 5000) as bar:
        for _ in range(5000):
            bar.advance(note=lambda: str(asked.append(1)))
    assert 1 <= len(asked) < 5000


def test_a_bar_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    with ProgressBar("decoding", 2) as shown:
        shown.advance()
    assert "decoding" in capsys.readouterr().err


@pytest.mark.usefixtures("every")
def test_silence_on_request(capsys):
    with ProgressBar("decoding", 2, show=False) as shown:
        shown.advance()
    assert shown.new == 1
    assert capsys.readouterr().err == ""
