"""Whatever is wrong, the command says what, where and what to do, with exit code 2."""

import os
from pathlib import Path

import numpy as np
import pytest
from command_line import SPEC, TINY, boxless, cut, train_words
from PIL import Image
from safetensors.numpy import save_file

COUNT, TRAIN = 24, 18


@pytest.fixture
def table(tmp_path):
    """A small data set as a table, which a test may spoil."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "photos"
    folder.mkdir()
    rows = ["path,split,cat,dog"]
    for number in range(COUNT):
        pixels = rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.jpg")
        split = "train" if number < TRAIN else "test"
        rows.append(f"{number:02}.jpg,{split},{number % 2},{number // 2 % 2}")
    (folder / "t.csv").write_text("\n".join(rows) + "\n")
    return folder / "t.csv"


def spoil(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


class TestDataSets:
    @pytest.mark.parametrize(
        ("spec", "texts"),
        [
            ("voc:nowhere", ("expected a folder in VOC layout", "nowhere")),
            ("csv:none.csv", ("expected a CSV file", "none.csv")),
            ("photos", ("expected the format before the path", "voc:DIR")),
            ("coca:photos", ("unknown data format 'coca'", "Known:")),
            ("scenes:trian=5", ("'trian'. Did you mean 'train'?",)),
            ("scenes:train=many", ("train", "'many'")),
            ("csv:", ("expected a path after 'csv:'",)),
        ],
    )
    def test_spec(self, table, tmp_path, spec, texts, app, monkeypatch):
        monkeypatch.chdir(tmp_path)
        done = app(*train_words("run", spec=spec))
        done.refused(*texts)
        assert not (tmp_path / "run").exists()

    @pytest.mark.parametrize(
        ("old", "new", "texts"),
        [
            (
                "05.jpg,train,1,0",
                "05.jpg,train,perhaps,0",
                ("t.csv:7:3", "'perhaps'", "1 (present)"),
            ),
            ("05.jpg,train,1,0", "05.jpg,train,1", ("t.csv:7", "expected 4 cells", "found 3")),
            ("05.jpg,train", "05.jpg,", ("t.csv:7:2", "expected a split")),
            ("05.jpg", "04.jpg", ("t.csv:7", "already taken at", "t.csv:6")),
            (",test,", ",extra,", ("no split named 'test'", "t.csv,test=NAME", "t.csv,test=20%")),
            (",train,", ",val,", ("no split named 'train'", "t.csv,train=NAME")),
            ("path,split,cat,dog", "what,split,cat,dog", ("t.csv:1", "'path'")),
        ],
    )
    def test_table(self, table, tmp_path, old, new, texts, app):
        spoil(table, old, new)
        done = app(*train_words(tmp_path / "run", spec=f"csv:{table}"))
        done.refused(*texts)
        assert not (tmp_path / "run" / "proposals").exists()

    def test_unknown_class(self, table, tmp_path, app):
        (table.parent / "t.csv.classes.txt").write_text("cat\nfish\n")
        done = app(*train_words(tmp_path / "run", spec=f"csv:{table}"))
        done.refused("t.csv:1:4", "unknown class 'dog'")

    def test_a_single_class(self, table, tmp_path, preloaded):
        """A softmax over one class says nothing, so no teacher; a plain student learns it."""
        lines = table.read_text().splitlines()
        table.write_text("".join(line.rpartition(",")[0] + "\n" for line in lines))
        done = preloaded(*train_words(tmp_path / "run", spec=f"csv:{table}"))
        done.refused("has the class 'cat' alone", "softmax", "boxless baseline")
        assert not (tmp_path / "run" / "proposals").exists()
        done = preloaded(*train_words(tmp_path / "run", spec=f"csv:{table}", verb="baseline"))
        assert done.code == 0, done.err

    def test_missing_image(self, table, tmp_path, app):
        (table.parent / "03.jpg").unlink()
        done = app(*train_words(tmp_path / "run", spec=f"csv:{table}"))
        done.refused("1 of 24 image files are missing", "t.csv:5", "03.jpg", "data check")

    def test_the_same_image_in_train_and_test(self, table, tmp_path, preloaded):
        photos = table.parent
        (photos / f"{TRAIN + 1:02}.jpg").write_bytes((photos / "02.jpg").read_bytes())
        words = train_words(tmp_path / "run", spec=f"csv:{table}", verb="baseline")
        done = preloaded(*words)
        told = "in 'train' and in 'test' with the very same bytes: 1 image(s)"
        done.refused(told, "02.jpg", "19.jpg", "--run.leaks")
        assert not (tmp_path / "run" / "students").exists()
        done = preloaded(*words, "--run.leaks", "allow")
        assert done.code == 0, done.err
        assert f"warning: {told}" in done.err

    @pytest.mark.parametrize(("size", "text"), [(0, "empty (0 bytes)"), (900, "truncated")])
    def test_damaged_image_while_proposing(self, table, tmp_path, preloaded, size, text):
        image = table.parent / "03.jpg"
        image.write_bytes(image.read_bytes()[:size])
        done = preloaded(*train_words(tmp_path / "run", spec=f"csv:{table}"))
        done.refused("03.jpg", "t.csv:5", text, "--data.skip_bad true")

    @pytest.mark.parametrize("workers", [0, 2])
    def test_image_damaged_later(self, table, tmp_path, preloaded, workers):
        """Found while training, in this process or in a loading one; finished steps stay."""
        out = tmp_path / "run"
        words = train_words(out, "--run.workers", workers, spec=f"csv:{table}", verb="teacher")
        assert preloaded(*words).code == 0
        for number, image in enumerate(sorted(table.parent.glob("*.jpg"))):
            other = bytes([number]).ljust(image.stat().st_size, b"\0")
            image.write_bytes(other)  # the same size: still the same data; no two alike
        words = train_words(out, "--run.workers", workers, spec=f"csv:{table}")
        done = preloaded(*words)
        done.refused(".jpg: not an image", "t.csv:", "--data.skip_bad true")
        assert (out / "teacher" / "weights.safetensors").exists()

    def test_skip_bad_leaves_them_out_loudly(self, table, tmp_path, preloaded):
        (table.parent / "03.jpg").write_bytes(b"")
        words = train_words(tmp_path / "run", spec=f"csv:{table}", verb="baseline")
        done = preloaded(*words, "--data.skip_bad", "true")
        assert done.code == 0, done.err
        assert "leaving out 1 unreadable image(s)" in done.err
        assert "03.jpg" in done.err

    def test_wrong_xml(self, tmp_path, app):
        root = tmp_path / "VOC"
        for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
            (root / name).mkdir(parents=True)
        for split in ("train", "test"):
            (root / "ImageSets" / "Main" / f"{split}.txt").write_text(f"{split}1\n")
            Image.new("RGB", (64, 64)).save(root / "JPEGImages" / f"{split}1.jpg")
            (root / "Annotations" / f"{split}1.xml").write_text("<annotation>\n<object>\n")
        done = app(*train_words(tmp_path / "run", spec=f"voc:{root}"))
        done.refused(".xml", "Annotations")

    def test_a_file_in_place_of_a_folder(self, tmp_path, app):
        (tmp_path / "VOC").write_text("")
        app(*train_words(tmp_path / "run", spec=f"voc:{tmp_path / 'VOC'}")).refused("VOC")

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_unreadable_folder(self, table, tmp_path, app):
        table.parent.chmod(0)
        try:
            done = app(*train_words(tmp_path / "run", spec=f"csv:{table}"))
        finally:
            table.parent.chmod(0o755)
        done.refused("photos")


class TestSettings:
    @pytest.mark.parametrize(
        ("words", "texts"),
        [
            (("--teacher.optm.lr", "3"), ("'teacher.optm.lr'. Did you mean 'teacher.optim.lr'",)),
            (("--teacher.optim.lr",), ("--teacher.optim.lr needs a value",)),
            (("--teacher.optim.lr", "fast"), ("teacher.optim.lr:", "number; found 'fast'")),
            (("--student.input_size", "3.5"), ("student.input_size:", "integer; found 3.5")),
            (("--data.held_out", "2"), ("data.held_out:", "less than 1; found 2")),
            (("--stage1.optim.lr", "inf"), ("stage1.optim.lr:", "finite")),
            (("--teacher.folds", "3"), ("folds needs trainable = 'head'",)),
            (("--teacher.regions", "30"), ("teacher.regions = 30", "proposals.max_boxes = 10")),
            (("--teacher.scales", "[]"), ("teacher.scales:", "at least 1 item")),
            (("--run.seed", "-1"), ("run.seed:", "greater than or equal to 0")),
            (("--seeds", "0"), ("run.seeds:", "greater than or equal to 1")),
            (("--seeds", "two"), ("--seeds", "two")),
            (("--recpe", "demo"), ("unknown option '--recpe'. Did you mean '--recipe'",)),
            (("--force", "regoins"), ("unknown step 'regoins'. Did you mean 'regions",)),
            (("more",), ("unexpected argument 'more'", "--section.key VALUE")),
        ],
    )
    def test_override(self, tmp_path, words, texts, app):
        app(*train_words(tmp_path / "run", *words)).refused(*texts)
        assert not (tmp_path / "run").exists()

    @pytest.mark.parametrize(
        ("words", "texts"),
        [
            (("--teacher.input_size", "72"), ("teacher.input_size = 72", "16", "64 or 80")),
            (("--student.input_size", "40"), ("student.input_size = 40", "'stride16'", "32 or 48")),
            (("--student.input_size", "8"), ("student.input_size to 16",)),
            (
                ("--student.input_size", "48", "--methods", "attention", "--attention.levels",
                 '["final"]'),
                ("student.input_size = 48", "32", "'final'", "32 or 64"),
            ),
        ],
    )  # fmt: skip
    def test_an_input_side_with_part_of_a_cell(self, tmp_path, words, texts, preloaded):
        preloaded(*train_words(tmp_path / "run", *words)).refused("no multiple of", *texts)
        assert not (tmp_path / "run" / "proposals").exists()

    @pytest.mark.parametrize(
        ("change", "texts"),
        [
            (("hidden = 16", "hidden = 2020-01-01"), ("teacher.hidden:", "valid integer")),
            (("hidden = 16", "hiden = 16"), ("'teacher.hiden'", "Did you mean 'teacher.hidden'")),
            (("hidden = 16", "hidden = = 16"), ("not valid TOML", "line 17")),
            (("[teacher]", "[techer]"), ("unknown setting 'techer'. Did you mean 'teacher'",)),
            (("epochs = 1", ""), ("teacher.optim.epochs: missing",)),
        ],
    )
    def test_recipe_file(self, tmp_path, change, texts, app):
        recipe = tmp_path / "mine.toml"
        recipe.write_text(TINY.read_text().replace(*change, 1))
        app(*train_words(tmp_path / "run", recipe=recipe)).refused("mine.toml", *texts)
        app("recipes", "validate", recipe).refused("mine.toml", *texts)

    def test_recipe_in_another_encoding(self, tmp_path, app):
        (tmp_path / "mine.toml").write_bytes("name = 'café'".encode("latin-1"))
        done = app(*train_words(tmp_path / "run", recipe=tmp_path / "mine.toml"))
        done.refused("mine.toml", "UTF-8")

    def test_section_that_is_a_number(self, tmp_path, app, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "mine.toml").write_text("teacher = 3\n")
        words = train_words("run", "--teacher.optim.lr", "1", recipe="mine.toml")
        app(*words).refused("teacher:", "found 3")

    def test_recipe_that_does_not_exist(self, tmp_path, app):
        done = app(*train_words(tmp_path / "run", recipe="demmo"))
        done.refused("unknown recipe 'demmo'. Did you mean 'demo'", "boxless recipes list")
        done = app(*train_words(tmp_path / "run", recipe=tmp_path / "no.toml"))
        done.refused("cannot read recipe", "no.toml", "boxless recipes list")

    def test_out_is_a_file(self, tmp_path, app):
        (tmp_path / "run").write_text("dear diary")
        app(*train_words(tmp_path / "run")).refused("is a file", "name a folder")
        assert (tmp_path / "run").read_text() == "dear diary"

    def test_out_is_missing(self, app):
        app("train", SPEC).refused("--out")

    def test_unknown_command(self):
        boxless("trian", SPEC).refused('Did you mean "train"', "boxless --help")


class TestNetworks:
    @pytest.mark.parametrize(
        ("words", "texts"),
        [
            (
                ("--teacher.backbone", "test_resnett"),
                ("teacher.backbone", "unknown timm model 'test_resnett'", "'test_resnet'"),
            ),
            (("--teacher.level", "stride12"), ("teacher.level:", "'stride12'", "'stride16'")),
            (("--stage1.levels", '["stride12"]'), ("stage1.levels:", "'stride12'")),
            (("--student.weights", "wheel"), ("student.weights", "tf_efficientnet_lite0")),
            (
                ("--student.weights", "no.safetensors"),
                ("student.weights", "no.safetensors does not exist"),
            ),
            (("--student.weights", "a.pth"), ("a.pth is not a readable PyTorch file",)),
            (("--student.weights", "a.safetensors"), ("not a readable safetensors file",)),
            (
                ("--student.weights", "other.safetensors"),
                ("other.safetensors do not fit", "missing", "unexpected", "another architecture"),
            ),
        ],
    )
    def test_refused_before_any_step(self, tmp_path, preloaded, words, texts):
        for name in ("a.pth", "a.safetensors"):
            (tmp_path / name).write_bytes(b"\x80\x04K\x01.")
        save_file({"conv.weight": np.zeros((3, 3), np.float32)}, tmp_path / "other.safetensors")
        done = preloaded(*train_words("run", *words), cwd=tmp_path)
        done.refused(*texts, "->")
        assert not (tmp_path / "run" / "proposals").exists()

    def test_diverging_loss(self, tmp_path, preloaded):
        words = ("--stage1.optim.lr", "1e30", "--stage1.optim.optimizer", "sgd")
        done = preloaded(*train_words(tmp_path / "run", *words, verb="distill"))
        done.refused("step features/regions/32px/seed-0", "lower the learning rate")
        assert "nan" in done.err or "inf" in done.err or "not finite" in done.err
        assert not (
            tmp_path / "run" / "features/regions/32px/seed-0" / "weights.safetensors"
        ).exists()
        assert (tmp_path / "run" / "teacher" / "weights.safetensors").exists()

    def test_batches_of_one(self, tmp_path, preloaded):
        words = ("--stage2.optim.batch_size", "1")
        done = preloaded(*train_words(tmp_path / "run", *words, verb="baseline"))
        done.refused("batch_size = 1", "BatchNorm")


class TestPredict:
    def test_run_without_student(self, tmp_path):
        (tmp_path / "run").mkdir()
        done = boxless("predict", tmp_path / "run", "a.jpg")
        done.refused("no exported student", "boxless train")
        boxless("predict", tmp_path / "none", "a.jpg").refused("does not exist")

    def test_damaged_student(self, run_copy):
        cut(run_copy / "export" / "student.onnx", 5000)
        done = boxless("predict", run_copy, "a.jpg")
        done.refused("student.onnx", "damaged or cut off", "copy the file again")

    def test_unreadable_images(self, finished_run, table):
        (table.parent / "note.jpg").write_text("no image")
        done = boxless("predict", finished_run, table.parent, "gone.png")
        done.refused("note.jpg", "gone.png", "2 of 26 could not be read", code=1)
        assert done.out.count(".jpg") == COUNT  # all others are labelled
