"""A served student: the real command in a process of its own, and servers in threads."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "inference"))  # tiny_student

for _package in ("fastapi", "uvicorn", "python_multipart", "prometheus_client"):
    pytest.importorskip(_package, reason=f"the extra `serve` is not installed: no {_package}")

from served import Served  # noqa: E402
from tiny_student import write_student  # noqa: E402

from boxless.data.scene_layout import CLASSES  # noqa: E402
from boxless.serving.pages import painted_samples  # noqa: E402


@pytest.fixture(scope="session")
def student_file(tmp_path_factory) -> Path:
    return write_student(tmp_path_factory.mktemp("student") / "student.onnx")


@pytest.fixture(scope="session")
def live(student_file, tmp_path_factory):
    """`boxless serve` with small limits; it must be alive and without one 500 at the end."""
    log = tmp_path_factory.mktemp("live") / "log"
    samples = tmp_path_factory.mktemp("samples")
    for number, sample in enumerate(painted_samples(CLASSES)):
        (samples / f"{number}.jpg").write_bytes(sample.jpeg)
    words = (
        "--samples",
        str(samples),
        "--max-body-mb",
        "2",
        "--max-files",
        "4",
        "--max-megapixels",
        "4",
        "--timeout",
        "6",
    )
    server = Served.start(student_file, *words, log=log)
    yield server
    assert server.get("/healthz").status == 200
    assert server.statuses(500) == 0
    assert server.stop() in (0, -15, 143)
    assert "Traceback" not in log.read_text("utf-8")
