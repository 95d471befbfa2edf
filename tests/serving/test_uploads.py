"""Forms and names, as the routes read them."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from served import BOUNDARY, form
from starlette.requests import Request

from boxless.serving.faults import RequestError
from boxless.serving.uploads import plain_name, read_uploads


def read(*pieces: bytes, max_files=8):
    """The uploads of a form that arrives in pieces."""
    left = list(pieces)

    async def receive():
        piece = left.pop(0) if left else b""
        return {"type": "http.request", "body": piece, "more_body": bool(left)}

    kind = f"multipart/form-data; boundary={BOUNDARY}".encode()
    request = Request({"type": "http", "headers": [(b"content-type", kind)]}, receive)
    return asyncio.run(read_uploads(request, max_files=max_files))


contents = st.binary(min_size=1, max_size=60) | st.sampled_from(
    [b"\r\n", b"--" + BOUNDARY.encode(), b"\r\n--"]
)


@given(st.lists(contents, min_size=1, max_size=4), st.lists(st.integers(0, 500), max_size=8))
def test_files_survive_however_the_body_is_cut(datas, cuts):
    datas = [data for data in datas if f"\r\n--{BOUNDARY}".encode() not in b"\r\n" + data]
    datas = datas or [b"x"]
    body = form(*((f"{n}.png", data) for n, data in enumerate(datas)))
    places = sorted({min(cut, len(body)) for cut in cuts} | {0, len(body)})
    uploads = read(*(body[a:b] for a, b in pairwise(places)))
    assert [upload.data for upload in uploads] == datas
    assert [upload.name for upload in uploads] == [f"{n}.png" for n in range(len(datas))]


@given(st.integers(0, 200))
def test_a_form_cut_off_anywhere_is_refused(cut):
    body = form(("a.png", b"12345"), ("b.png", b"67890"))
    end = min(cut, len(body) - 3)  # the final CR LF is optional
    with pytest.raises(RequestError) as caught:
        read(body[:end])
    assert (caught.value.status, caught.value.code) == (400, "malformed_form")


def test_too_many_files_are_noticed_before_the_rest_is_read():
    body = form(*[("a.png", b"x")] * 9)
    with pytest.raises(RequestError) as caught:
        read(body[: body.rindex(b"filename") + 60])
    assert (caught.value.status, caught.value.code) == (413, "too_many_files")


def test_a_plain_field_is_no_file():
    field = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="top"\r\n\r\n5\r\n'.encode()
    with pytest.raises(RequestError) as caught:
        read(field + form(("a.png", b"x")))
    assert (caught.value.status, caught.value.code) == (400, "unknown_field")


def test_a_large_file_stays_whole():
    data = bytes(range(256)) * 12_000  # 3 MB, above what Starlette would put on disk
    body = form(("a.png", data))
    (upload,) = read(*(body[at : at + 65_536] for at in range(0, len(body), 65_536)))
    assert upload.data == data


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
