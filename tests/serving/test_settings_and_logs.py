"""Settings and log lines."""

import json
import logging

import pytest

from boxless.errors import ConfigError
from boxless.serving.observer import JsonLines, PlainLines
from boxless.serving.settings import Limits, ServeSettings


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Limits(files=0), "files must be above 0, found 0"),
        (lambda: Limits(seconds=float("nan")), "seconds must be above 0"),
        (lambda: Limits(body_bytes=9, buffered_bytes=8), "buffered_bytes must be at least"),
        (lambda: ServeSettings(batch_size=0), "batch_size must be at least 1"),
        (lambda: ServeSettings(queue_size=31), "the queue must hold one request of 32"),
        (lambda: ServeSettings(max_delay=-1), "max_delay must be 0 to 1"),
        (lambda: ServeSettings(api_key="short"), "at least 8 printable"),
    ],
)
def test_wrong_settings(make, text):
    with pytest.raises(ConfigError, match=text):
        make()


def test_the_key_is_not_shown():
    assert "secret" not in repr(ServeSettings(api_key="secret-secret"))


def record(message: str, **fields) -> logging.LogRecord:
    made = logging.LogRecord("x", logging.INFO, "", 0, message, None, None)
    made.fields = fields
    return made


def test_log_lines_stay_lines():
    line = JsonLines().format(record("a\nb", path="/\n{"))
    assert "\n" not in line
    assert json.loads(line)["event"] == "a\nb"
    assert json.loads(line)["path"] == "/\n{"
    text = PlainLines().format(record("request", path="/\nforged line", code=None))
    assert "\n" not in text
    assert "code" not in text
