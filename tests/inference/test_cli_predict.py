import csv
import json
import subprocess
import sys

import numpy as np
import pytest
from cyclopts import App
from PIL import Image
from predict_verb import predict
from tiny_student import CLASSES, expected, properties, write_student

from boxless.cli import predict as verb
from boxless.errors import (
    ConfigError,
    MissingExtraError,
    NumericsError,
    RunError,
    StoreError,
)
from boxless.inference.predictor import Predictor
from boxless.inference.result_files import COLUMNS


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
    app.command(verb.predict)
    app(["predict", *map(str, words)])


def test_walks_folders_and_prints_json_lines(student, folder, pictures, capsys):
    run_app(student.parent.parent, folder, "--json", "--top", "9")
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
    run_app(student, folder / "b.png", "--threshold", "0")
    out = capsys.readouterr().out
    assert "b.png" in out
    assert all(name in out for name in CLASSES)  # "[red]cow" is no colour


def test_top_and_threshold(student, folder, pictures, capsys):
    run_app(student, folder / "b.png", "--json", "--top", "2")
    assert len(json.loads(capsys.readouterr().out)["labels"]) == 2
    ranked = np.sort(expected(pictures[0]))[::-1]
    run_app(student, folder / "b.png", "--json", "--threshold", f"{ranked[:2].mean():.6f}")
    assert len(json.loads(capsys.readouterr().out)["labels"]) == 1
    run_app(student, folder / "b.png", "--json", "--threshold", "0", "--top", "2")
    assert len(json.loads(capsys.readouterr().out)["labels"]) == 2
    run_app(student, folder / "b.png", "--threshold", "1")
    assert "no label" in capsys.readouterr().out


def test_unreadable_images_come_last_and_exit_with_1(student, folder, capsys):
    (folder / "aa.jpg").write_bytes(b"no image")
    (folder / "empty").mkdir()
    with pytest.raises(SystemExit) as stop:
        predict(student, [str(folder), str(folder / "missing.png"), str(folder / "empty")])
    assert stop.value.code == 1
    streams = capsys.readouterr()
    assert all(name in streams.out for name in ("a.PNG", "b.png", "c.png"))
    assert "aa.jpg" in streams.err
    assert "missing.png" in streams.err
    assert "no image in this folder" in streams.err
    assert "aa.jpg" not in streams.out


def test_unreadable_images_as_json(student, folder, capsys):
    with pytest.raises(SystemExit):
        predict(student, [str(folder / "missing.png"), str(folder / "b.png")], json=True)
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert rows[0]["path"].endswith("b.png")
    assert "missing" in rows[1]["error"]


def test_errors(student, folder, tmp_path):
    images = [str(folder)]
    with pytest.raises(RunError):
        predict(tmp_path / "none", images)
    (tmp_path / "file").write_text("")
    for message, options in (
        ("--top", {"top": 0}),
        ("--threshold", {"threshold": 50}),
        ("no text: give --out", {"format": "parquet"}),
        ("for the terminal", {"format": "table", "out": tmp_path / "x"}),
        (r"x\.txt names no format", {"out": tmp_path / "x.txt"}),
        ("drawn on pictures", {"heat_map": True}),
        ("is a file", {"draw": tmp_path / "file"}),
        ("replace the image itself", {"draw": folder}),
    ):
        with pytest.raises(ConfigError, match=message):
            predict(student, images, **options)
    assert not (tmp_path / "x").exists()


def test_the_files_own_thresholds_decide(tmp_path, folder, capsys):
    path = write_student(tmp_path / "a.onnx", properties(thresholds=[0.0, 1.0, 1.0]))
    run_app(path, folder / "b.png", "--json")
    labels = json.loads(capsys.readouterr().out)["labels"]
    assert [(label["name"], label["threshold"]) for label in labels] == [("cat", 0.0)]


def test_patterns(student, folder, capsys):
    run_app(student, f"{folder}/**/*.png", "--json", "--threshold", "1")
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["path"] for row in rows] == [f"{folder}/b.png", f"{folder}/deep/c.png"]
    with pytest.raises(SystemExit):
        run_app(student, f"{folder}/*.bmp")
    assert "no image matches" in capsys.readouterr().err


class TestFormats:
    """The same five images, one of them broken, in every format."""

    @pytest.fixture
    def model(self, tmp_path):
        return write_student(tmp_path / "m.onnx", properties(thresholds=[0.0, 0.0, 1.0]))

    def run(self, model, folder, out, *words):
        (folder / "broken.png").write_bytes(b"no image")
        with pytest.raises(SystemExit) as stop:
            run_app(model, folder, "--out", out, *words)
        assert stop.value.code == 1

    def test_json(self, model, folder, tmp_path):
        self.run(model, folder, tmp_path / "x.jsonl", "--boxes")
        rows = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()]
        assert [len(row.get("boxes", "e")) for row in rows] == [2, 2, 2, 1]
        assert rows[-1]["path"] == str(folder / "broken.png")
        assert "not an image" in rows[-1]["error"]

    def test_csv(self, model, folder, tmp_path):
        self.run(model, folder, tmp_path / "x.csv", "--boxes")
        with (tmp_path / "x.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert tuple(rows[0]) == COLUMNS
        assert [row["path"][-5:] for row in rows] == ["a.PNG"] * 2 + ["b.png"] * 2 + ["c.png"] * 2
        assert {row["label"] for row in rows} == {"cat", "dog"}
        (wanted,) = Predictor.load(model).predict(folder / "b.png", boxes=True)
        row = next(row for row in rows if row["label"] == "dog" and "b.png" in row["path"])
        box = next(box for box in wanted.boxes if box.name == "dog")
        assert float(row["x2"]) == pytest.approx(box.x2)
        assert float(row["probability"]) == pytest.approx(wanted.probabilities[1])
        assert row["present"] == "True"

    def test_an_image_without_labels_has_a_row(self, model, folder, capsys):
        run_app(model, folder / "b.png", "--format", "csv", "--threshold", "1")
        head, row = capsys.readouterr().out.splitlines()
        assert head.split(",") == list(COLUMNS)
        assert row == f"{folder / 'b.png'},30,20" + "," * 9

    def test_parquet(self, model, folder, tmp_path, monkeypatch):
        parquet = pytest.importorskip("pyarrow.parquet")
        monkeypatch.setattr("boxless.inference.result_files._ROW_GROUP", 4)
        self.run(model, folder, tmp_path / "x.parquet")
        rows = parquet.read_table(tmp_path / "x.parquet").to_pylist()
        assert tuple(rows[0]) == COLUMNS
        assert len(rows) == 6
        assert rows[0]["x1"] is None
        assert rows[0]["present"] is True

    def test_parquet_names_its_extra(self, model, folder, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        with pytest.raises(MissingExtraError, match=r"pyarrow") as caught:
            run_app(model, folder, "--out", tmp_path / "x.parquet")
        assert "boxless[parquet]" in caught.value.hint
        assert not (tmp_path / "x.parquet").exists()

    def test_coco(self, model, folder, tmp_path, capsys):
        coco = pytest.importorskip("pycocotools.coco")
        self.run(model, folder, tmp_path / "x.json", "--format", "coco")
        found = coco.COCO(str(tmp_path / "x.json"))
        assert [c["name"] for c in found.loadCats(found.getCatIds())] == list(CLASSES)
        assert len(found.getImgIds()) == 3
        assert len(found.getAnnIds()) == 6
        (first,) = Predictor.load(model).predict(folder / "a.PNG", boxes=True)
        (one, _) = found.loadAnns(found.getAnnIds(imgIds=[1]))
        box = first.boxes[0]
        assert one["bbox"] == pytest.approx([box.x1, box.y1, box.x2 - box.x1, box.y2 - box.y1])

    @pytest.mark.parametrize("kind", ["json", "csv", "coco"])
    def test_nothing_readable(self, model, tmp_path, kind):
        with pytest.raises(SystemExit):
            run_app(model, tmp_path / "gone.png", "--format", kind, "--out", tmp_path / "x")
        text = (tmp_path / "x").read_text()
        if kind == "coco":
            assert json.loads(text)["annotations"] == []

    def test_a_failure_leaves_the_old_file(self, tmp_path, folder):
        (tmp_path / "x.csv").write_text("old")
        nan = write_student(tmp_path / "nan.onnx", scale=np.nan)
        with pytest.raises(NumericsError):
            run_app(nan, folder, "--out", tmp_path / "x.csv", "--overwrite")
        assert (tmp_path / "x.csv").read_text() == "old"
        assert not list(tmp_path.glob(".x.csv*"))


def test_drawing(tmp_path, folder, pictures):
    path = write_student(tmp_path / "a.onnx", properties(thresholds=[0.0, 0.0, 1.0]))
    Image.fromarray(pictures[5]).save(folder / "deep" / "b.png")
    (folder / "deep" / "c.png").rename(folder / "deep" / "c.tif")
    run_app(path, folder, "--draw", tmp_path / "drawn", "--heat-map", "--json")
    names = sorted(p.name for p in (tmp_path / "drawn").iterdir())
    assert names == ["a.PNG", "b-2.png", "b.png", "c.jpg"]
    with (
        Image.open(tmp_path / "drawn" / "b-2.png") as drawn,
        Image.open(folder / "deep" / "b.png") as own,
    ):
        assert drawn.size == own.size
        assert drawn.tobytes() != own.tobytes()


def test_old_files_are_drawn_without_boxes(tmp_path, folder):
    path = write_student(tmp_path / "old.onnx", maps=False)
    run_app(path, folder / "b.png", "--draw", tmp_path / "drawn")
    assert (tmp_path / "drawn" / "b.png").exists()
    with pytest.raises(StoreError, match="no class maps"):
        run_app(path, folder / "b.png", "--boxes")


def test_importing_the_verb_is_cheap():
    code = (
        "import sys, boxless.cli.predict\n"
        "heavy = {'torch', 'cv2', 'onnxruntime', 'numpy', 'PIL', 'rich', 'pydantic'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
