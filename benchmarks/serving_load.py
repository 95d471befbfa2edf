"""Load for a served student: an asyncio client of its own on loopback, and the server it is for."""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "src"

STUDENT_CODE = """
import sys
from pathlib import Path
import torch
from boxless.inference.student_metadata import StudentMetadata
from boxless.models.backbone import Backbone
from boxless.models.classifier import Classifier
from boxless.runs.export import onnx_bytes
torch.manual_seed(0)
size = int(sys.argv[2])
names = tuple(f"class-{n}" for n in range(20))
backbone = Backbone("tf_efficientnet_lite0", pretrained=False)
model = Classifier(backbone, len(names), head="gap", dropout=0.0).eval()
about = StudentMetadata(
    classes=names, input_size=size, mean=(127.0,) * 3, std=(128.0,) * 3, channels="RGB",
    resize="bilinear", antialias=True, version="0.1.0",
)
Path(sys.argv[1]).write_bytes(onnx_bytes(model, about))
"""


def write_student(path: Path, size: int) -> None:
    """Export an EfficientNet-Lite0 with random weights: as costly as a trained one."""
    command = [sys.executable, "-c", STUDENT_CODE, str(path), str(size)]
    subprocess.run(command, check=True, env=environment(), stdout=subprocess.DEVNULL)


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(SOURCE)}


@dataclass
class Server:
    """``boxless serve`` in a process of its own."""

    process: "subprocess.Popen[bytes]"
    port: int

    def resident(self) -> float:
        """Memory in MB of all its processes."""
        kilobytes = 0
        for process in self._processes():
            found = re.search(r"VmRSS:\s+(\d+) kB", (process / "status").read_text("utf-8"))
            assert found is not None
            kilobytes += int(found[1])
        return kilobytes / 1000

    def cpu(self) -> float:
        """Seconds of processor time that all its processes have used."""
        ticks = 0
        for process in self._processes():
            fields = (process / "stat").read_text("utf-8").rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def _processes(self) -> list[Path]:
        """Folders below /proc of the server and of what it has started."""
        own = Path(f"/proc/{self.process.pid}")
        lists = [each.read_text("utf-8") for each in own.glob("task/*/children")]
        return [own, *(Path(f"/proc/{number}") for each in lists for number in each.split())]


@contextmanager
def served(model: Path, *words: str) -> Iterator[Server]:
    """Start a server, stop it at the end."""
    command = [sys.executable, "-m", "boxless", "serve", str(model), "--port", "0", *words]
    process = subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline().decode()
        found = re.search(r":(\d+)$", line.strip())
        if found is None:
            raise SystemExit(f"the server did not start: {line!r}")
        yield Server(process, int(found[1]))
    finally:
        process.terminate()
        process.wait(60)


@dataclass
class Outcome:
    """What became of the requests of one load."""

    sent: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    lost: int = 0
    wrong: int = 0
    without_retry: int = 0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)

    def quantile(self, share: float) -> float:
        """A quantile of the latencies of good replies, in ms."""
        ranked = sorted(self.latencies)
        return 1000 * ranked[min(int(share * len(ranked)), len(ranked) - 1)] if ranked else 0.0

    @property
    def rate(self) -> float:
        """Good replies a second."""
        return self.statuses[200] / self.seconds


def request_bytes(image: bytes) -> bytes:
    """A whole HTTP request for the labels of an image."""
    head = (
        "POST /v1/predict?top=1 HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
        f"Content-Length: {len(image)}\r\n\r\n"
    )
    return head.encode() + image


async def _reply(reader: asyncio.StreamReader) -> tuple[int, bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    found = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    assert found is not None
    return int(head[9:12]), head.lower(), await reader.readexactly(int(found[1]))


async def load(
    port: int,
    images: Sequence[bytes],
    labels: Sequence[str],
    *,
    requests: int,
    connections: int,
    rate: float = 0.0,
    on_done: Callable[[int], None] = lambda done: None,  # noqa: ARG005
) -> Outcome:
    """Send requests over open connections and check every reply.

    Args:
        port: Of the server.
        images: JPEG files, sent in turn.
        labels: Best label of each, as computed in this process; another one is a wrong reply.
        requests: How many.
        connections: Requests under way at a time.
        rate: Requests a second at even distances; 0 sends as fast as replies come.
        on_done: Told the number of replies after each.
    """
    outcome = Outcome()
    bodies = [request_bytes(image) for image in images]
    numbers = iter(range(requests))
    start = time.perf_counter()

    async def worker() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in numbers:
            due = start + number / rate if rate else time.perf_counter()
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            outcome.sent += 1
            try:
                writer.write(bodies[number % len(bodies)])
                status, head, body = await _reply(reader)
            except (OSError, EOFError):
                outcome.lost += 1
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                continue
            _check(outcome, status, head, body, labels[number % len(labels)])
            if status == 200:
                outcome.latencies.append(time.perf_counter() - due)
            on_done(sum(outcome.statuses.values()))
        writer.close()

    await asyncio.gather(*(worker() for _ in range(connections)))
    outcome.seconds = time.perf_counter() - start
    return outcome


def _check(outcome: Outcome, status: int, head: bytes, body: bytes, label: str) -> None:
    outcome.statuses[status] += 1
    if status == 200:
        found = json.loads(body)["predictions"][0]["labels"][0]["name"]
        outcome.wrong += found != label
    elif b"retry-after: " not in head:
        outcome.without_retry += 1
