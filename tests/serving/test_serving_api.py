"""What the API answers, and how the command starts and stops."""

import base64
import io
import json
import os
import signal
import socket
import sys
import threading
import time

import numpy as np
import pytest
from hostile import encoded, picture
from served import SOURCE, Served
from tiny_student import CLASSES, expected

from boxless.data import scene_layout
from boxless.serving.pages import painted_samples

GOOD = encoded(picture(), "PNG")


def test_labels_equal_numpy_and_come_ranked(live):
    from PIL import Image

    reply = live.send_files(("street.png", GOOD))
    (image,) = reply.json["predictions"]
    assert set(image) == {"name", "width", "height", "labels"}
    assert (image["name"], image["width"], image["height"]) == ("street.png", 40, 30)
    right = dict(zip(CLASSES, expected(np.asarray(Image.open(io.BytesIO(GOOD)))), strict=True))
    values = [label["probability"] for label in image["labels"]]
    assert values == sorted(values, reverse=True)
    for label in image["labels"]:
        assert label["probability"] == pytest.approx(right[label["name"]], abs=1e-4)
        assert label["present"] == (label["probability"] >= label["threshold"])


def test_form_raw_body_and_several_images_say_the_same(live):
    others = [encoded(picture(), "PNG") for _ in range(3)]
    alone = [live.post(data, "image/png").json["predictions"][0] for data in (GOOD, *others)]
    files = [(f"{n}.png", data) for n, data in enumerate((GOOD, *others))]
    together = live.send_files(*files).json["predictions"]
    assert [each["name"] for each in alone] == [None] * 4
    assert [each["name"] for each in together] == [name for name, _ in files]
    for one, other in zip(alone, together, strict=True):
        assert [label["name"] for label in one["labels"]] == [x["name"] for x in other["labels"]]
        for a, b in zip(one["labels"], other["labels"], strict=True):
            assert a["probability"] == pytest.approx(b["probability"], abs=2e-6)


def test_top_boxes_and_maps(live):
    reply = live.send_files(("a.png", GOOD), query="?boxes=true&maps=true&top=2")
    (image,) = reply.json["predictions"]
    assert len(image["labels"]) == 2
    shown = [label["name"] for label in image["labels"]]
    assert [each["name"] for each in image["maps"]] == shown
    for each in image["maps"]:
        assert (each["width"], each["height"]) == (48, 36)
        cells = np.frombuffer(base64.b64decode(each["data"]), np.uint8)
        assert len(cells) == 48 * 36
        assert cells.min() < 8  # the least cell's middle may lie between two of these
        assert cells.max() > 247
    for box in image["boxes"]:
        assert 0 <= box["x1"] < box["x2"] <= 40
        assert 0 <= box["y1"] < box["y2"] <= 30
        assert 0 <= box["score"] <= 1


def test_the_student_is_described(live):
    student = live.get("/v1/labels").json
    assert [label["name"] for label in student["labels"]] == list(CLASSES)
    assert student["input_size"] == 8
    assert student["locates"] is True
    assert live.get("/healthz").json == {"status": "alive"}
    assert live.get("/readyz").json == {"status": "ready"}


def test_a_student_without_maps_says_so(tmp_path):
    from served import threaded
    from tiny_student import write_student

    from boxless.inference.predictor import Predictor
    from boxless.serving.app import create_app
    from boxless.serving.settings import ServeSettings

    settings = ServeSettings()
    predictor = Predictor.load(write_student(tmp_path / "old.onnx", maps=False), threads=1)
    with threaded(create_app(predictor, settings), settings.limits) as client:
        assert client.get("/v1/labels").json["locates"] is False
        assert client.send_files(("a.png", GOOD)).status == 200
        for query in ("?boxes=true", "?maps=true"):
            assert client.send_files(("a.png", GOOD), query=query).code == "no_maps"


def test_metrics_count(live):
    before = live.metric("boxless_images_total")
    live.send_files(("a.png", GOOD), ("b.png", GOOD))
    live.get("/made-up-path-1")
    until = time.monotonic() + 20  # a request is counted once its answer has left
    while not live.statuses(404) and time.monotonic() < until:
        time.sleep(0.01)
    text = live.get("/metrics")
    assert text.headers["content-type"].startswith("text/plain")
    assert live.metric("boxless_images_total") == before + 2
    body = text.body.decode()
    assert 'route="other",status="404"' in body
    assert "made-up-path" not in body
    assert "process_resident_memory_bytes" in body


def test_pages_hold_nothing_of_other_hosts(live):
    for path in ("/", "/docs"):
        page = live.get(path)
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        text = page.body.decode()
        addresses = [word for word in text.split('"') if "//" in word and "http" in word]
        assert all("www.w3.org/2000/svg" in word for word in addresses), addresses


def test_samples_are_images(live):
    samples = live.get("/samples").json
    assert len(samples) == 7
    for sample in samples[:2]:
        image = live.get("/" + sample["url"])
        assert image.headers["content-type"] == "image/jpeg"
        assert live.post(image.body, "image/jpeg").status == 200


def test_scenes_are_samples_of_their_own_student_alone():
    assert len(painted_samples(scene_layout.CLASSES)) == 7
    assert painted_samples(CLASSES) == []


def logged(live, request_id):
    """The log line of a request: it may be written after the client has its answer."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        for line in live.lines():
            if line.get("id") == request_id:
                return line
        time.sleep(0.02)
    raise AssertionError(f"no line of {request_id} in the log")


def test_logs_are_json_lines(live):
    live.send_files(("a.png", GOOD), **{"X-Request-ID": "find-me"})
    line = logged(live, "find-me")
    assert line["event"] == "request"
    assert (line["method"], line["path"], line["status"]) == ("POST", "/v1/predict", 200)
    assert line["images"] == 1
    assert line["ms"] > 0
    live.send_files(("a.png", b"x"), **{"X-Request-ID": "refused"})
    line = logged(live, "refused")
    assert (line["status"], line["code"]) == (415, "unsupported_image")


def test_stopping_answers_what_is_in_work(student_file, tmp_path):
    """SIGTERM while requests are in work: each one is answered, then the process ends."""
    server = Served.start(student_file, "--max-delay-ms", "700", log=tmp_path / "log")
    replies = []

    def ask():
        replies.append(server.send_files(("a.png", GOOD)))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    while server.metric("boxless_queue_images ") < 6:
        time.sleep(0.01)
    server.process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join(30)
    assert [reply.status for reply in replies] == [200] * 6
    assert server.process.wait(30) in (0, -15, 143)
    events = [line["event"] for line in server.lines()]
    assert events[0] == "serving"
    assert events[-1] == "stopped"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("gone.onnx",), "gone.onnx does not exist"),
        (("{student}", "--port", "70000"), "--port must be between 0 and 65535"),
        (("{student}", "--max-files", "0"), "files must be above 0"),
        (("{student}", "--samples", "gone"), "expected a folder of sample images"),
        (("{student}", "--api-key-file", "gone"), "cannot read the API key"),
        (("{student}", "--host", "203.0.113.7"), "cannot listen on 203.0.113.7"),
        (("{student}", "--port", "{busy}"), "cannot listen on 127.0.0.1 port"),
    ],
)
def test_wrong_words(student_file, tmp_path, monkeypatch, capsys, words, text):
    from boxless.cli.app import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        names = {"student": student_file, "busy": busy.getsockname()[1]}
        with pytest.raises(SystemExit) as stop:
            main(["serve", *(word.format(**names) for word in words)])
    assert stop.value.code == 2
    assert text in " ".join(capsys.readouterr().err.split())


def test_an_empty_key_file_does_not_open_the_server(tmp_path, student_file, capsys):
    from boxless.cli.app import main

    key = tmp_path / "key"
    key.write_text("\n")
    with pytest.raises(SystemExit) as stop:
        main(["serve", str(student_file), "--api-key-file", str(key)])
    assert stop.value.code == 2
    assert "is empty" in capsys.readouterr().err


def test_serving_needs_no_torch(student_file):
    """Everything but the listening itself, in a fresh process."""
    import subprocess

    code = (
        "import sys\n"
        "from boxless.inference.predictor import Predictor\n"
        "from boxless.serving.app import create_app\n"
        "from boxless.serving.server import run_server\n"
        "from boxless.serving.settings import ServeSettings\n"
        f"create_app(Predictor.load({str(student_file)!r}), ServeSettings())\n"
        "heavy = ('torch', 'torchvision', 'timm', 'cv2', 'matplotlib', 'onnx')\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_openapi_fits_the_answers(live):
    """The example answers validate against the schemas that the document names."""
    from boxless.serving.schemas import FaultAnswer, LabelsAnswer, PredictAnswer

    reply = live.send_files(("a.png", GOOD), query="?boxes=true&maps=true")
    PredictAnswer.model_validate(reply.json, strict=True)
    LabelsAnswer.model_validate(live.get("/v1/labels").json, strict=True)
    FaultAnswer.model_validate(live.get("/nothing").json, strict=True)
    paths = live.get("/openapi.json").json["paths"]
    assert set(paths) == {"/v1/predict", "/v1/labels", "/healthz", "/readyz", "/metrics"}
    assert json.dumps(paths).count('"422"') == 1
