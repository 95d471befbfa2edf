"""Time left in all, as bars and lines tell it."""

import pytest

from boxless.files import progress
from boxless.files.progress import Overall, ProgressBar, left_in_all, roughly, step_of, titled


@pytest.fixture
def clock(monkeypatch):
    """The clock of steps, which tests set."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_nothing_is_said_where_no_steps_are_counted():
    assert titled("teacher") == "teacher"
    assert left_in_all(5.0) == ""


def test_a_step_among_others(clock):
    with step_of(Overall(4, 11, own=120.0, later=240.0, began=100.0)):
        assert titled("teacher") == "[4/11] teacher"
        assert left_in_all() == ", about 6 min left in all"
        clock[0] += 60
        assert left_in_all() == ", about 5 min left in all"
    assert titled("teacher") == "teacher"


def test_a_bar_that_is_slower_than_expected_counts(clock):
    step = Overall(1, 2, own=60.0, later=30.0, began=100.0)
    assert step.left(600.0) == 630.0
    assert step.left(5.0) == 90.0
    clock[0] += 500
    assert step.left() == 30.0


def test_what_nobody_knows_is_not_said():
    assert Overall(1, 2).left() is None
    assert Overall(1, 2, own=5.0).left(5.0) is None
    assert Overall(1, 2, later=5.0).left() is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "10 s"),
        (44, "40 s"),
        (89, "90 s"),
        (95, "2 min"),
        (360, "6 min"),
        (3570, "1 h"),
        (6100, "1 h 40 min"),
        (36_000, "10 h"),
        (93_600, "26 h"),
    ],
)
def test_estimates_in_words(seconds, text):
    assert roughly(seconds) == text


def test_lines_off_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    with step_of(Overall(2, 3, own=0.0, later=600.0)):
        with ProgressBar("stage 1", 4) as bar:
            bar.advance(4, note=lambda: "loss 1")
        with ProgressBar("proposals") as shown:
            shown(1, 4)
            shown(4, 4)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("[2/3] stage 1: 4/4, loss 1, ")
    assert lines[1].startswith("[2/3] proposals: 4/4, ")
    assert lines[1].endswith(", about 10 min left in all")
