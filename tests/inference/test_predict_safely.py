"""What `boxless predict` must not do: lose files, read text as markup, fail on encodings."""

import io
import json
import os
import subprocess
import sys
from contextlib import suppress

import pytest
from PIL import Image
from predict_verb import predict
from tiny_student import properties, write_student

from boxless.cli.app import main
from boxless.errors import ConfigError, DataError
from boxless.files.console import plain_console
from boxless.inference.drawing import is_drawn
from boxless.inference.predictor import Predictor


@pytest.fixture
def model(tmp_path):
    """A student that finds every class present."""
    return write_student(tmp_path / "m.onnx", properties(thresholds=[0.0] * 3))


@pytest.fixture
def photos(tmp_path, pictures):
    """``p/x.png`` and ``p/b/x.png``."""
    folder = tmp_path / "p"
    (folder / "b").mkdir(parents=True)
    for name, picture in zip(("x.png", "b/x.png"), pictures, strict=False):
        Image.fromarray(picture).save(folder / name)
    return folder


def ended(capsys, *words) -> tuple[int, str, str]:
    """Exit code and what was printed."""
    try:
        main([str(word) for word in words])
        code = 0
    except SystemExit as stop:
        code = stop.code
    streams = capsys.readouterr()
    return code, streams.out, streams.err


class TestPictures:
    def test_never_replace_a_photograph_of_the_same_name(self, model, photos):
        before = (photos / "b" / "x.png").read_bytes()
        with pytest.raises(ConfigError, match="would replace the image itself, or another"):
            predict(str(model), [str(photos)], draw=photos / "b", overwrite=True)
        with pytest.raises(ConfigError, match=r"boxless did not write .*x\.png, which is there"):
            predict(str(model), [str(photos / "x.png")], draw=photos / "b")
        assert (photos / "b" / "x.png").read_bytes() == before
        assert sorted(path.name for path in (photos / "b").iterdir()) == ["x.png"]

    def test_are_replaced_where_boxless_drew_them(self, model, photos, tmp_path):
        for _ in range(2):
            predict(str(model), [str(photos)], draw=tmp_path / "drawn")
            drawn = sorted((tmp_path / "drawn").iterdir())
            assert [path.name for path in drawn] == ["x-2.png", "x.png"]
            assert all(map(is_drawn, drawn))

    def test_replace_other_files_if_asked_to(self, model, photos, tmp_path):
        other = tmp_path / "drawn" / "x.png"
        other.parent.mkdir()
        other.write_bytes(b"of somebody")
        predict(str(model), [str(photos / "x.png")], draw=other.parent, overwrite=True)
        assert is_drawn(other)

    def test_names_that_differ_in_case_alone_are_numbered(self, model, photos, tmp_path):
        (photos / "b" / "x.png").rename(photos / "b" / "X.png")
        predict(str(model), [str(photos)], draw=tmp_path / "drawn")
        names = {path.name.lower() for path in (tmp_path / "drawn").iterdir()}
        assert names == {"x.png", "x-2.png"}

    @pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
    def test_are_known_again_in_every_format(self, model, photos, tmp_path, suffix):
        (prediction,) = Predictor.load(model).predict(photos / "x.png")
        prediction.save(tmp_path / f"drawn.{suffix}")
        assert is_drawn(tmp_path / f"drawn.{suffix}")
        Image.open(photos / "x.png").save(tmp_path / f"other.{suffix}")
        assert not is_drawn(tmp_path / f"other.{suffix}")


class TestOut:
    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("tags.csv", "path,labels,split\nimg/00.jpg,cat,train\n"),
            ("tags.jsonl", '{"path": "img/00.jpg", "labels": ["cat"]}\n'),
            ("tags.json", '[{"file_name": "a.jpg"}]'),
            ("notes.csv", "path"),
            ("coco.json", '{"categories": [{"id": 1, "name": "cat"}], "images": []}'),
        ],
    )
    def test_a_file_of_somebody_else_stays(self, model, photos, tmp_path, name, content):
        (tmp_path / name).write_text(content)
        kind = "coco" if name == "coco.json" else None
        with pytest.raises(ConfigError, match="a file that boxless did not write") as caught:
            predict(str(model), [str(photos)], out=str(tmp_path / name), format=kind)
        assert "--overwrite" in caught.value.hint
        assert (tmp_path / name).read_text() == content
        predict(str(model), [str(photos)], out=str(tmp_path / name), format=kind, overwrite=True)
        assert (tmp_path / name).read_text() != content

    @pytest.mark.parametrize("kind", ["json", "jsonl", "csv", "coco", "parquet"])
    @pytest.mark.parametrize("images", [["p"], ["gone.png", "p"], ["gone.png"]])
    def test_predictions_are_replaced(self, model, photos, monkeypatch, kind, images):
        if kind == "parquet":
            pytest.importorskip("pyarrow")
        monkeypatch.chdir(photos.parent)
        contents = []
        for _ in range(2):
            with suppress(SystemExit):  # 1, where gone.png is asked for
                predict(str(model), images, out="x", format=kind)
            contents.append((photos.parent / "x").read_bytes())
        assert contents[0] == contents[1]

    def test_parquet_of_somebody_else_stays(self, model, photos, tmp_path):
        pyarrow = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        parquet.write_table(pyarrow.table({"path": ["a"]}), tmp_path / "x.parquet")
        with pytest.raises(ConfigError, match="did not write"):
            predict(str(model), [str(photos)], out=str(tmp_path / "x.parquet"))

    def test_json_is_a_list_and_jsonl_lines(self, model, photos, tmp_path):
        with pytest.raises(SystemExit):
            predict(str(model), [str(photos), "gone.png"], out=str(tmp_path / "x.json"))
        rows = json.loads((tmp_path / "x.json").read_text("utf-8"))
        assert [row["path"] for row in rows] == [
            *map(str, sorted(photos.rglob("*.png"))),
            "gone.png",
        ]
        assert "missing" in rows[-1]["error"]
        with pytest.raises(SystemExit):
            predict(str(model), [str(photos), "gone.png"], out=str(tmp_path / "x.jsonl"))
        lines = (tmp_path / "x.jsonl").read_text("utf-8").splitlines()
        assert [json.loads(line) for line in lines] == rows


class TestEntrances:
    def test_an_image_from_stdin(self, model, photos, capsys, monkeypatch):
        content = (photos / "x.png").read_bytes()
        (wanted,) = Predictor.load(model).predict(content)
        for words in (("-", "--json"), ("--json", "--", "-")):
            stdin = io.TextIOWrapper(io.BytesIO(content))
            monkeypatch.setattr("sys.stdin", stdin)
            code, out, _ = ended(capsys, "predict", model, *words)
            row = json.loads(out)
            assert (code, row["path"]) == (0, "stdin")
            assert [label["name"] for label in row["labels"]] == [x.name for x in wanted.labels]

    @pytest.mark.parametrize("content", [b"", b"no image"])
    def test_stdin_without_an_image(self, model, capsys, monkeypatch, content):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
        code, _, err = ended(capsys, "predict", model, "-")
        assert code == 1
        assert err.startswith("stdin: ")

    def test_a_mistyped_option_is_no_image(self, model, photos, capsys):
        code, _, err = ended(capsys, "predict", model, photos, "--thresold")
        assert code == 2
        assert "unknown option '--thresold'. Did you mean '--threshold'" in err

    @pytest.mark.parametrize("url", ["http://127.0.0.1:9/a.jpg?w=1", "https://127.0.0.1:9/a*.jpg"])
    def test_web_addresses_are_no_patterns(self, model, capsys, url):
        _, _, err = ended(capsys, "predict", model, url)
        text = " ".join(err.split())
        assert "no image matches" not in text
        assert "cannot reach http" in text or "pip install 'boxless[cloud]'" in text

    def test_open_files(self, model, photos):
        predictor = Predictor.load(model)
        (wanted,) = predictor.predict(photos / "x.png")
        buffer = io.BytesIO((photos / "x.png").read_bytes())
        buffer.read()  # as after writing: Pillow winds it back too
        with (photos / "x.png").open("rb") as file:
            found = predictor.predict([buffer, file, photos / "x.png"])
        assert [each.labels for each in found] == [wanted.labels] * 3
        assert predictor.predict(buffer)[0].draw().size == (30, 20)
        assert predictor.prepare(buffer).width == 30

    def test_files_opened_wrongly(self, model, photos):
        predictor = Predictor.load(model)
        (photos / "a.txt").write_text("words")
        with (
            (photos / "a.txt").open(encoding="utf-8") as file,
            pytest.raises(DataError, match="opened as text"),
        ):
            predictor.predict(file)
        with pytest.raises(DataError, match="cannot be read"):
            predictor.predict(file)  # closed


class TestMarkup:
    NAMES = ("[/b]", "[red]dog", ":cat:")

    def test_names_of_classes_are_printed_as_they_are(self, tmp_path, photos, capsys):
        path = write_student(
            tmp_path / "named.onnx", properties(classes=list(self.NAMES), thresholds=[0.0] * 3)
        )
        code, out, _ = ended(capsys, "predict", path, photos / "x.png")
        assert code == 0
        assert all(name in out for name in self.NAMES)

    @pytest.mark.parametrize("value", ["[/x]", "[bold]1", ":cat:"])
    def test_errors_show_values_as_they_are(self, model, capsys, value):
        code, _, err = ended(capsys, "predict", model, "a.png", "--threshold", value)
        assert code == 2
        assert value in err
        code, _, err = ended(capsys, "predict", f"{value}.onnx", "a.png")
        assert code == 2
        assert f"{value}.onnx" in err

    def test_failures_show_names_as_they_are(self, model, capsys):
        code, _, err = ended(capsys, "predict", model, "[/x].png", "[bold]:cat:.png")
        assert code == 1
        assert "[/x].png" in err
        assert "[bold]:cat:.png" in err

    def test_doctor_names_extras(self, capsys, monkeypatch):
        from boxless.cli import doctor

        monkeypatch.setattr(doctor, "NEEDS", (("x", ("no_such",), "pip install 'boxless[train]'"),))
        code, out, _ = ended(capsys, "doctor")
        assert code == 1
        assert "boxless[train]" in out

    def test_tables_are_plain_too(self, capsys):
        from rich.table import Table

        table = Table("[red]name")
        table.add_row("[/b] :cat:")
        plain_console().print(table)
        out = capsys.readouterr().out
        assert "[red]name" in out
        assert "[/b] :cat:" in out


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_streams_of_other_encodings(tmp_path, photos, encoding):
    """Names that an encoding lacks are written as escapes; nothing fails."""
    names = ["猫", "собака \u2212", "é"]
    props = properties(classes=names, thresholds=[0.0] * 3)
    path = write_student(tmp_path / "named.onnx", props)
    done = subprocess.run(
        [sys.executable, "-m", "boxless", "predict", path, photos / "x.png", "gone \u732b.png"],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1  # gone.png
    out, err = done.stdout.decode(encoding), done.stderr.decode(encoding)
    shown = [name.encode(encoding, "backslashreplace").decode(encoding) for name in names]
    assert all(name in out for name in shown), out
    assert "Traceback" not in err
    assert "gone" in err
