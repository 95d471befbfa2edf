"""Whatever arrives as a request: a clear 4xx, never a 500, and the process lives."""

import socket
import struct
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hostile import encoded, picture
from served import BOUNDARY, form

GOOD = encoded(picture(), "PNG")
BODY = form(("a.png", GOOD))
FORM = f"multipart/form-data; boundary={BOUNDARY}"
PREFIX = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\n"

BODIES = {
    "no content type": (BODY, None, 415, "unsupported_content_type"),
    "json": (b"{}", "application/json", 415, "unsupported_content_type"),
    "text": (BODY, "text/plain", 415, "unsupported_content_type"),
    "url-encoded form": (b"files=1", "application/x-www-form-urlencoded", 415, None),
    "strange content type": (BODY, "image", 415, "unsupported_content_type"),
    "a form sent as an image": (BODY, "image/png", 415, "unsupported_image"),
    "an image sent as a form": (GOOD, FORM, 400, "malformed_form"),
    "no boundary": (BODY, "multipart/form-data", 400, "malformed_form"),
    "long boundary": (BODY, "multipart/form-data; boundary=" + "x" * 300, 400, "malformed_form"),
    "another boundary": (BODY, "multipart/form-data; boundary=other", 400, "malformed_form"),
    "empty body": (b"", FORM, 400, "malformed_form"),
    "empty image": (b"", "image/png", 400, "empty_image"),
    "no part": (f"--{BOUNDARY}--\r\n".encode(), FORM, 400, "no_image"),
    "cut off": (form(("a.png", GOOD), end=False), FORM, 400, "malformed_form"),
    "unknown field": (form(("a.png", GOOD), field="photo"), FORM, 400, "unknown_field"),
    "field without a name": (BODY.replace(b'name="files"; ', b""), FORM, 400, "unknown_field"),
    "no disposition": (BODY.replace(b"-Disposition", b"-Position"), FORM, 400, "unknown_field"),
    "attachment": (BODY.replace(b"form-data; name", b"attachment; name"), FORM, 400, None),
    "an empty file": (form(("a.png", b"")), FORM, 400, "empty_image"),
    "five files": (form(*[("a.png", GOOD)] * 5), FORM, 413, "too_many_files"),
    "a thousand files": (form(*[("a.png", b"x")] * 1000), FORM, 413, "too_many_files"),
    "a large body": (bytes(2_000_001), "image/png", 413, "body_too_large"),
    "a huge form": (form(("a.png", bytes(9_000_000))), FORM, 413, "body_too_large"),
    "long headers of a part": (form(("n" * 9000, GOOD)), FORM, 400, "malformed_form"),
    "null bytes in a part": (BODY.replace(b"Content-Type", b"Con\0ent-Type"), FORM, 400, None),
    "compressed": (b"\x1f\x8b\x08" + bytes(50), "application/octet-stream", 415, None),
}


@pytest.mark.parametrize("name", BODIES)
def test_bodies(live, name):
    body, kind, status, code = BODIES[name]
    reply = live.post(body, kind)
    assert reply.status == status, reply.body
    assert code is None or reply.code == code
    assert reply.headers["content-type"] == "application/json"


def chunked(total: int, size=100_000):
    return (bytes(min(size, total - at)) for at in range(0, total, size))


def test_chunked_body_has_the_same_limit(live):
    headers = {"Content-Type": "image/png"}
    reply = live.request("POST", "/v1/predict", chunked(9_000_000), headers)
    assert (reply.status, reply.code) == (413, "body_too_large")
    reply = live.request("POST", "/v1/predict", iter([GOOD[:9], GOOD[9:]]), headers)
    assert reply.status == 200


def test_declared_length_is_refused_before_the_body_comes(live):
    head = PREFIX + b"Content-Type: image/png\r\nContent-Length: 99999999\r\n"
    start = time.monotonic()
    answer = live.raw(head + b"Expect: 100-continue\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 "), answer
    assert time.monotonic() - start < 4
    assert b"connection: close" in answer.lower()


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "..\\\\..\\\\windows\\\\system32\\\\a.png",
        "/etc/shadow",
        "C:\\\\secret.png",
        "~root/.ssh/id_rsa",
        "a\tb.png",
        "%00.png",
        "%2e%2e%2fetc",
        "file://etc/passwd",
        "<script>alert(1)</script>.png",
        "' OR 1=1 --.png",
        "\u202egnp.exe",
        "n" * 1000,
        "..",
        "",
        "CON",
        "$(reboot).png",
    ],
)
def test_names_are_only_names(live, name):
    reply = live.send_files((name, GOOD))
    assert reply.status == 200, reply.body
    shown = reply.json["predictions"][0]["name"]
    if shown is not None:
        assert 0 < len(shown) <= 200
        assert not set(shown) & set("/\\\t\n\r\0\u202e")
        assert shown not in (".", "..")


@pytest.mark.parametrize(
    "query",
    [
        "?top=0",
        "?top=-1",
        "?top=many",
        "?top=1e99",
        "?top=%00",
        "?top=99999999999999999999999",
        "?top=1&top=x",
        "?boxes=perhaps",
        "?boxes=%F0%9F%92%A9",
        "?maps=2",
        "?unknown=1",
    ],
)
def test_wrong_parameters(live, query):
    reply = live.send_files(("a.png", GOOD), query=query)
    assert (reply.status, reply.code) == (422, "invalid_parameter")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/samples/../../etc/passwd", 404),
        ("GET", "/samples/%2e%2e%2f%2e%2e%2fetc%2fpasswd", 404),
        ("GET", "/samples/-1", 404),
        ("GET", "/samples/99999999999999999999", 404),
        ("GET", "/samples/\u0661".encode().decode("latin-1"), 404),
        ("GET", "/%ff%fe", 404),
        ("GET", "/" + "a" * 20_000, 404),
        ("GET", "/v1/predict", 405),
        ("DELETE", "/v1/predict", 405),
        ("PUT", "/v1/labels", 405),
        ("TRACE", "/", 405),
        ("POST", "/", 405),
    ],
)
def test_paths_and_methods(live, method, path, status):
    answer = live.raw(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode("latin-1"))
    found = int(answer.split(b" ", 2)[1]) if answer else 0
    assert found in (status, 400), answer[:200]


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"hello\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: a\0b\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        PREFIX + b"Content-Length: -5\r\n\r\n",
        PREFIX + b"Content-Length: many\r\n\r\n",
        PREFIX + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        PREFIX + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        PREFIX + b"Content-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        PREFIX + b"Content-Type: image/png\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X-A: " + b"b" * 200_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * 20_000 + b"\r\n",
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n",
    ],
)
def test_no_http(live, request_bytes):
    answer = live.raw(request_bytes)
    assert answer == b"" or answer.split(b" ", 2)[1][:1] == b"4", answer[:200]
    assert live.get("/healthz").status == 200


def test_websocket_is_no_way_in(live):
    answer = live.raw(
        b"GET /v1/predict HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
        b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n\r\n"
    )
    assert answer.split(b" ", 2)[1][:1] == b"4", answer[:200]


def test_foreign_host_is_refused(live):
    for name in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "[::2]:1"):
        reply = live.get("/v1/labels", Host=name)
        assert (reply.status, reply.code) == (421, "unknown_host"), name
    for name in ("localhost", "LOCALHOST:9", "127.0.0.1:1", "[::1]:80"):
        assert live.get("/v1/labels", Host=name).status == 200


def test_request_ids_cannot_forge_log_lines(live):
    mine = live.get("/healthz", **{"X-Request-ID": "order-66"})
    assert mine.headers["x-request-id"] == "order-66"
    for bad in ("a b", "x" * 65, '{"a":1}', "\xfcber"):
        assert live.get("/healthz", **{"X-Request-ID": bad}).headers["x-request-id"] != bad


def test_pipelined_requests_are_all_answered(live):
    request = PREFIX + b"Content-Type: image/png\r\nContent-Length: %d\r\n\r\n" % len(GOOD) + GOOD
    answer = live.raw(request * 5)
    assert answer.count(b"HTTP/1.1 200 OK") == 5


def leave(port: int, data: bytes, *, rude: bool) -> None:
    """Send bytes and hang up, with a reset if asked for."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as link:
        if rude:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        link.sendall(data)


def test_clients_that_hang_up(live):
    head = PREFIX + b"Content-Type: image/png\r\nContent-Length: %d\r\n\r\n" % len(GOOD)
    whole = head + GOOD
    cuts = [whole, whole[:-1], head, head[:30], b"", whole + whole]
    with ThreadPoolExecutor(16) as pool:
        for number in range(180):
            pool.submit(leave, live.port, cuts[number % 6], rude=number % 4 < 2)
    until = time.monotonic() + 20
    while live.metric("boxless_queue_images ") and time.monotonic() < until:
        time.sleep(0.05)
    assert live.metric("boxless_queue_images ") == 0
    assert live.post(GOOD, "image/png").status == 200
