"""The log survives being killed."""

import math

from boxless.training.events import NAME, EventLog, read_events


def test_entries_after_the_checkpoint_are_dropped(tmp_path):
    log = EventLog(tmp_path, update=0)
    for update in range(5):
        log.write({"update": update, "loss": 1 / (1 + update)})
    log.close()
    again = EventLog(tmp_path, update=3)
    again.write({"update": 3, "loss": 0.0})
    again.close()
    assert [e["update"] for e in read_events(tmp_path)] == [0, 1, 2, 3]
    assert read_events(tmp_path)[-1]["loss"] == 0.0


def test_half_a_line_is_left_out(tmp_path):
    (tmp_path / NAME).write_text('{"update": 0}\n{"update": 1, "lo', "utf-8")
    assert read_events(tmp_path) == [{"update": 0}]
    EventLog(tmp_path, update=9).close()
    assert (tmp_path / NAME).read_text("utf-8") == '{"update": 0}\n'


def test_no_log_is_no_entry(tmp_path):
    assert read_events(tmp_path) == []


def test_values_that_are_not_finite_become_null(tmp_path):
    log = EventLog(tmp_path, update=0)
    log.write({"update": 0, "loss": math.nan, "soft": math.inf})
    log.close()
    assert read_events(tmp_path) == [{"update": 0, "loss": None, "soft": None}]
