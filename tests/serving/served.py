"""A server under test and a plain client for it: http.client and sockets, nothing clever."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "src"
BOUNDARY = "frontier"


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self) -> str | None:
        """Code of the error; every answer but 200 must carry one and a message."""
        if self.status == 200:
            return None
        error = self.json["error"]
        assert error["message"]
        return error["code"]


def form(*files: tuple[str, bytes], field: str = "files", end: bool = True) -> bytes:
    """A multipart body of files (name, content)."""
    pieces = []
    for name, data in files:
        pieces.append(
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"; '
            f'filename="{name}"\r\nContent-Type: image/jpeg\r\n\r\n'.encode()
            + data
            + b"\r\n"
        )
    return b"".join(pieces) + (f"--{BOUNDARY}--\r\n".encode() if end else b"")


class Client:
    """Requests to one port of this machine."""

    port: int

    def request(self, method, path, body=None, headers=None, *, timeout=30) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, found, response.read())
        finally:
            connection.close()

    def get(self, path, **headers) -> Reply:
        return self.request("GET", path, headers=headers)

    def post(self, body, kind=f"multipart/form-data; boundary={BOUNDARY}", query="", **more):
        headers = {"Content-Type": kind} if kind else {}
        return self.request("POST", f"/v1/predict{query}", body, {**headers, **more})

    def send_files(self, *files, query="", **more) -> Reply:
        return self.post(form(*files), query=query, **more)

    def raw(self, *pieces: bytes, pause=0.0, timeout=20.0) -> bytes:
        """Send bytes as they are and read until the server hangs up or a second of silence."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as link:
            for piece in pieces:
                try:
                    link.sendall(piece)
                except OSError:
                    break  # the server has had enough
                time.sleep(pause)
            found = b""
            try:
                while part := link.recv(65536):
                    found += part
                    link.settimeout(1.0)
            except OSError:
                pass
            return found

    def metric(self, name: str) -> float:
        """Sum of a metric's series whose line begins with `name`."""
        text = self.get("/metrics").body.decode()
        rows = (line.rsplit(" ", 1) for line in text.splitlines() if line.startswith(name))
        return sum(float(value) for _, value in rows)

    def statuses(self, status: int) -> int:
        """How many requests were answered with a status."""
        text = self.get("/metrics").body.decode()
        found = re.findall(rf'^boxless_requests_total{{.*status="{status}"}} (\S+)', text, re.M)
        return int(sum(map(float, found)))


class Served(Client):
    """``boxless serve`` in a process of its own."""

    def __init__(self, process, port, log) -> None:
        self.process, self.port, self.log = process, port, log

    @classmethod
    def start(cls, model, *words, log, **environment) -> "Served":
        own = {"PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1", **environment}
        process = subprocess.Popen(
            [sys.executable, "-m", "boxless", "serve", str(model), "--port", "0", *words],
            env={**os.environ, **own},
            stdout=subprocess.PIPE,
            stderr=log.open("wb"),
            stdin=subprocess.DEVNULL,
        )
        line = process.stdout.readline().decode()
        found = re.match(r"serving on http://127\.0\.0\.1:(\d+)", line)
        if not found:
            process.kill()
            raise AssertionError(log.read_text("utf-8"))
        return cls(process, int(found[1]), log)

    def lines(self) -> list[dict]:
        """Its log."""
        return [json.loads(line) for line in self.log.read_text("utf-8").splitlines()]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        self.process.stdout.close()
        return self.process.wait(60)


class Threaded(Client):
    """An application in a thread of this process."""

    def __init__(self, port) -> None:
        self.port = port


@contextmanager
def threaded(app, limits):
    """Serve an application from a thread, with uvicorn as in the command."""
    import uvicorn

    from boxless.serving.server import guarded_protocol

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        app,
        http=guarded_protocol(limits),
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    until = time.monotonic() + 60
    while not server.started:
        assert time.monotonic() < until
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield Threaded(listener.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(30)
        listener.close()
