"""Time, memory, room and keys, with settings small enough to reach."""

import asyncio
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hostile import encoded, picture
from served import threaded

from boxless.inference.predictor import Predictor
from boxless.serving.app import create_app
from boxless.serving.settings import Limits, ServeSettings

GOOD = encoded(picture(), "PNG")
SHORT = Limits(header_seconds=0.6, body_seconds=0.8, seconds=1.5, connections=20, files=4)
HEAD = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"


class Slow:
    """A predictor that can be held up."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self.go = threading.Event()
        self.go.set()

    def __getattr__(self, name):
        return getattr(self._predictor, name)

    def run(self, pixels: np.ndarray):
        assert self.go.wait(30)
        return self._predictor.run(pixels)


@pytest.fixture(scope="module")
def predictor(student_file):
    return Predictor.load(student_file, threads=1)


@pytest.fixture(scope="module")
def impatient(predictor):
    """A server with short times, and the handle that holds its network up."""
    slow = Slow(predictor)
    settings = ServeSettings(batch_size=2, queue_size=4, limits=SHORT)
    with threaded(create_app(slow, settings), SHORT) as client:
        yield client, slow


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


def test_slow_headers(impatient):
    client, _ = impatient
    drops = [bytes([byte]) for byte in HEAD[:40]]
    assert status(client.raw(*drops, pause=0.05)) == 408
    assert status(client.raw()) == 408  # a connection that sends nothing


def test_slow_body(impatient):
    client, _ = impatient
    head = HEAD + b"Content-Length: %d\r\n\r\n" % len(GOOD)
    answer = client.raw(head, *(GOOD[n : n + 1] for n in range(12)), pause=0.1)
    assert status(answer) == 408
    assert b'"body_too_slow"' in answer
    chunks = [b"1\r\nx\r\n"] * 12
    answer = client.raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *chunks, pause=0.1)
    assert status(answer) == 408


def test_an_answer_that_takes_too_long(impatient):
    client, slow = impatient
    slow.go.clear()
    try:
        reply = client.post(GOOD, "image/png")
        assert (reply.status, reply.code) == (503, "too_slow")
        assert int(reply.headers["retry-after"]) > 0
    finally:
        slow.go.set()
    assert client.post(GOOD, "image/png").status == 200


def test_overload_is_503_and_passes(impatient):
    client, slow = impatient
    slow.go.clear()
    try:
        with ThreadPoolExecutor(12) as pool:
            asked = [pool.submit(client.post, GOOD, "image/png") for _ in range(12)]
            time.sleep(0.5)
            assert client.get("/healthz").status == 200  # the loop is free
            slow.go.set()
            replies = [each.result() for each in asked]
    finally:
        slow.go.set()
    full = [reply for reply in replies if reply.status == 503]
    assert 4 <= sum(reply.status == 200 for reply in replies) < 12
    assert {reply.code for reply in full} == {"overloaded"}
    assert all(int(reply.headers["retry-after"]) >= 1 for reply in full)
    assert [client.post(GOOD, "image/png").status for _ in range(5)] == [200] * 5


def test_more_images_than_places_are_refused_together(impatient):
    client, slow = impatient
    slow.go.clear()
    try:
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(client.post, GOOD, "image/png")
            while client.metric("boxless_queue_images ") < 1:
                time.sleep(0.01)
            reply = client.send_files(*[("a.png", GOOD)] * 4)
            assert (reply.status, reply.code) == (503, "overloaded")
            slow.go.set()
            assert first.result().status == 200
    finally:
        slow.go.set()
    assert client.send_files(*[("a.png", GOOD)] * 4).status == 200


def test_too_many_connections(impatient):
    client, _ = impatient
    links = [socket.create_connection(("127.0.0.1", client.port)) for _ in range(20)]
    try:
        time.sleep(0.2)
        assert status(client.raw()) == 503
    finally:
        for link in links:
            link.close()
    time.sleep(0.2)
    assert client.get("/healthz").status == 200


def test_a_client_that_leaves_frees_its_place(impatient):
    client, slow = impatient
    slow.go.clear()
    try:
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", client.port)) as link:
                link.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(GOOD) + GOOD)
                while not client.metric("boxless_queue_images "):
                    time.sleep(0.01)
            while client.metric("boxless_queue_images "):
                time.sleep(0.01)
    finally:
        slow.go.set()
    assert client.statuses(499) >= 3


def test_bodies_in_work_together_have_a_limit(predictor):
    limits = Limits(body_bytes=100_000, buffered_bytes=150_000)
    with threaded(create_app(predictor, ServeSettings(limits=limits)), limits) as client:
        head = HEAD + b"Content-Length: 100000\r\n\r\n"
        with socket.create_connection(("127.0.0.1", client.port)) as link:
            link.sendall(head)
            time.sleep(0.3)
            reply = client.post(bytes(100_000), "image/png")
            assert (reply.status, reply.code) == (503, "overloaded")
        time.sleep(0.3)
        assert client.post(bytes(100_000), "image/png").status == 415


def test_api_key(predictor):
    settings = ServeSettings(api_key="open sesame")
    with threaded(create_app(predictor, settings), settings.limits) as client:
        for path in ("/", "/docs", "/openapi.json", "/healthz", "/readyz", "/samples"):
            assert client.get(path).status == 200
        for path in ("/v1/labels", "/metrics"):
            assert client.get(path).code == "no_key"
            assert client.get(path).headers["www-authenticate"] == "Bearer"
            for wrong in ("Bearer open", "Basic open sesame", "Bearer \xff", "Bearer" + "x" * 9000):
                assert client.get(path, Authorization=wrong).status == 401
            assert client.get(path, Authorization="Bearer open sesame").status == 200
            assert client.get(path, **{"X-API-Key": "open sesame"}).status == 200
        assert client.post(GOOD, "image/png").code == "no_key"
        reply = client.post(GOOD, "image/png", **{"X-API-Key": "open sesame"})
        assert reply.status == 200
        document = client.get("/openapi.json").json
        assert document["paths"]["/v1/predict"]["post"]["security"] == [{"key": []}]
        assert "security" not in document["paths"]["/healthz"]["get"]


def test_a_fault_of_ours_is_a_plain_500_and_the_next_request_is_served(predictor, caplog):
    class Broken(Slow):
        def describe(self, *words, **options):
            raise ZeroDivisionError("secret")

    broken = Broken(predictor)
    settings = ServeSettings()
    with threaded(create_app(broken, settings), settings.limits) as client:
        reply = client.post(GOOD, "image/png")
        assert (reply.status, reply.code) == (500, "internal")
        assert "secret" not in reply.body.decode()
        assert client.get("/readyz").status == 200
    assert any("secret" in (each.exc_text or str(each.exc_info)) for each in caplog.records)


def test_not_ready_before_the_start(predictor):
    """Without its lifespan the application is alive but not ready."""
    app = create_app(predictor, ServeSettings())
    sent: list[dict] = []

    async def ask():
        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message):
            sent.append(message)

        scope = {"type": "http", "method": "GET", "path": "/readyz", "query_string": b""}
        await app({**scope, "headers": [], "http_version": "1.1", "scheme": "http"}, receive, send)

    asyncio.run(ask())
    assert sent[0]["status"] == 503
    assert json.loads(sent[1]["body"]) == {"status": "not ready"}
