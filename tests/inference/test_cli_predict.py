import json
import subprocess
import sys

import numpy as np
import pytest
from cyclopts import App
from PIL import Image
from tiny_student import CLASSES, expected

from boxless.cli.predict import predict
from boxless.errors import ConfigError, RunError


@pytest.fixture
def folder(tmp_path, pictures):
    root = tmp_path / "photos"
    (root / "deep").mkdir(parents=True)
    for name, picture in zip(("b.png", "a.PNG", "deep/c.png"), pictures, strict=False):
        Image.fromarray(picture).save(root / name, format="PNG")
    (root / "notes.txt").write_text("no image")
    (root / ".hidden.png").write_bytes(b"no image")
    return root


def run_app(*words) -> None:
    app = App(result_action="return_value")
    app.command(predict)
    app(["predict", *map(str, words)])


def test_walks_folders_and_prints_json_lines(student, folder, pictures, capsys):
    run_app(student.parent.parent, folder, "--json")
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["path"] for row in rows] == [
        str(folder / name) for name in ("a.PNG", "b.png", "deep/c.png")
    ]
    probabilities = expected(pictures[0])
    best = int(probabilities.argmax())
    assert rows[1]["labels"][0]["name"] == CLASSES[best]
    assert rows[1]["labels"][0]["probability"] == pytest.approx(probabilities[best], abs=1e-5)
    assert len(rows[1]["labels"]) == len(CLASSES)


def test_table_shows_names_as_they_are(student, folder, capsys):
    run_app(student, folder / "b.png")
    out = capsys.readouterr().out
    assert "b.png" in out
    assert all(name in out for name in CLASSES)  # "[red]cow" is no colour


def test_top_and_threshold(student, folder, pictures, capsys):
    run_app(student, folder / "b.png", "--json", "--top", "2")
    assert len(json.loads(capsys.readouterr().out)["labels"]) == 2
    ranked = np.sort(expected(pictures[0]))[::-1]
    run_app(student, folder / "b.png", "--json", "--threshold", f"{ranked[:2].mean():.6f}")
    assert len(json.loads(capsys.readouterr().out)["labels"]) == 1
    run_app(student, folder / "b.png", "--threshold", "1")
    assert "no label" in capsys.readouterr().out


def test_unreadable_images_come_last_and_exit_with_1(student, folder, capsys):
    (folder / "aa.jpg").write_bytes(b"no image")
    (folder / "empty").mkdir()
    with pytest.raises(SystemExit) as stop:
        predict(student, [folder, folder / "missing.png", folder / "empty"])
    assert stop.value.code == 1
    streams = capsys.readouterr()
    assert all(name in streams.out for name in ("a.PNG", "b.png", "c.png"))
    assert "aa.jpg" in streams.err
    assert "missing.png" in streams.err
    assert "no image in this folder" in streams.err
    assert "aa.jpg" not in streams.out


def test_unreadable_images_as_json(student, folder, capsys):
    with pytest.raises(SystemExit):
        predict(student, [folder / "missing.png", folder / "b.png"], json=True)
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert rows[0]["path"].endswith("b.png")
    assert "missing" in rows[1]["error"]


def test_errors(student, folder, tmp_path):
    with pytest.raises(RunError):
        predict(tmp_path / "none", [folder])
    with pytest.raises(ConfigError, match="--top"):
        predict(student, [folder], top=0)
    with pytest.raises(ConfigError, match="--threshold"):
        predict(student, [folder], threshold=50)


def test_importing_the_verb_is_cheap():
    code = (
        "import sys, boxless.cli.predict\n"
        "heavy = {'torch', 'cv2', 'onnxruntime', 'numpy', 'PIL', 'rich', 'pydantic'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
