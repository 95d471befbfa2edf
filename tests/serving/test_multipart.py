"""Forms, names, settings: the small parts."""

import asyncio
import json
import logging
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from served import BOUNDARY, form

from boxless.errors import ConfigError
from boxless.serving.faults import RequestError
from boxless.serving.journal import JsonLines, PlainLines
from boxless.serving.multipart import FormReader
from boxless.serving.settings import Limits, ServeSettings
from boxless.serving.uploads import plain_name


def read(*chunks: bytes, max_files=8):
    async def pieces():
        for chunk in chunks:
            yield chunk

    reader = FormReader(BOUNDARY.encode(), max_files=max_files)
    return asyncio.run(reader.read(pieces()))


contents = st.binary(max_size=60) | st.sampled_from([b"\r\n", b"--" + BOUNDARY.encode(), b"\r\n--"])


@given(st.lists(contents, max_size=4), st.lists(st.integers(0, 500), max_size=8))
def test_files_survive_however_the_body_is_cut(datas, cuts):
    datas = [data for data in datas if f"\r\n--{BOUNDARY}".encode() not in b"\r\n" + data]
    body = form(*((f"{n}.png", data) for n, data in enumerate(datas)))
    places = sorted({min(cut, len(body)) for cut in cuts} | {0, len(body)})
    parts = read(*(body[a:b] for a, b in pairwise(places)))
    assert [bytes(part.data) for part in parts] == datas
    assert [part.name for part in parts] == [f"{n}.png" for n in range(len(datas))]


@given(st.integers(0, 200))
def test_a_form_cut_off_anywhere_is_refused(cut):
    body = form(("a.png", b"12345"), ("b.png", b"67890"))
    end = min(cut, len(body) - 3)  # the final CR LF is optional
    with pytest.raises(RequestError) as caught:
        read(body[:end])
    assert caught.value.status == 400


def test_too_many_files_are_noticed_before_the_rest_is_read():
    body = form(*[("a.png", b"x")] * 9)
    with pytest.raises(RequestError) as caught:
        read(body[: body.rindex(b"filename") + 60])
    assert (caught.value.status, caught.value.code) == (413, "too_many_files")


@given(st.text(max_size=300))
def test_plain_names(name):
    plain = plain_name(name)
    if plain is not None:
        assert 0 < len(plain) <= 200
        assert plain.isprintable()
        assert not set(plain) & set("/\\")
        assert plain_name(plain) == plain


def test_plain_names_by_hand():
    known = {"a/b.png": "b.png", "C:\\x\\é.png": "é.png", "..": None, "a/": None, "a\nb": "ab"}
    assert {name: plain_name(name) for name in known} == known


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Limits(files=0), "files must be above 0, found 0"),
        (lambda: Limits(seconds=float("nan")), "seconds must be above 0"),
        (lambda: Limits(body_bytes=9, buffered_bytes=8), "buffered_bytes must be at least"),
        (lambda: ServeSettings(batch_size=0), "batch_size must be at least 1"),
        (lambda: ServeSettings(queue_size=31), "the queue must hold one request of 32"),
        (lambda: ServeSettings(max_wait=-1), "max_wait must be 0 to 1"),
        (lambda: ServeSettings(api_key="short"), "at least 8 printable"),
    ],
)
def test_wrong_settings(make, text):
    with pytest.raises(ConfigError, match=text):
        make()


def test_the_key_is_not_shown():
    assert "secret" not in repr(ServeSettings(api_key="secret-secret"))


def record(message: str, **facts) -> logging.LogRecord:
    made = logging.LogRecord("x", logging.INFO, "", 0, message, None, None)
    made.facts = facts
    return made


def test_log_lines_stay_lines():
    line = JsonLines().format(record("a\nb", path="/\n{"))
    assert "\n" not in line
    assert json.loads(line)["event"] == "a\nb"
    assert json.loads(line)["path"] == "/\n{"
    text = PlainLines().format(record("request", path="/\nforged line", code=None))
    assert "\n" not in text
    assert "code" not in text
