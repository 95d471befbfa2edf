"""The data verb as a command line: parsing, output, errors, import budget."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cyclopts import App
from PIL import Image

from boxless.cli.data import app as data_app
from boxless.errors import ConfigError, DataError


@pytest.fixture
def boxless(capsys):
    """Run a command line; returns what it wrote to stdout."""

    def call(*words: object) -> str:
        outer = App(name="boxless")
        outer.command(data_app)
        outer([str(word) for word in words], result_action="return_value")
        return capsys.readouterr().out

    return call


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table of four images of which one is cut off and one is gone."""
    for n in range(3):
        pixels = np.random.default_rng(n).integers(0, 256, (32, 32, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{n}.jpg")
    cut = tmp_path / "1.jpg"
    cut.write_bytes(cut.read_bytes()[:500])
    path = tmp_path / "tags.csv"
    path.write_text(
        "path,labels,split\n0.jpg,cat;dog,train\n1.jpg,cat,train\n2.jpg,,test\n3.jpg,dog,test\n"
    )
    return path


def test_check_prints_tables_then_fails_on_bad_images(boxless, capsys, table):
    with pytest.raises(DataError, match=r"2 of 4 images cannot be used: .*1\.jpg.*damaged"):
        boxless("data", "check", f"csv:{table}")
    out = capsys.readouterr().out
    assert "Data set tags" in out
    assert f"{table}:3: {table.parent}/1.jpg: image file is damaged" in out
    assert f"{table}:5: {table.parent}/3.jpg: image file is missing" in out


def test_check_skip_bad_counts_and_lists_them(boxless, table):
    out = boxless("data", "check", f"csv:{table}", "--skip-bad")
    assert "Unreadable images          2" in out
    assert "Images without any tag     1 (kept)" in out
    assert "Images by number of tags   0: 1, 1: 2, 2: 1" in out


def test_check_skip_images_opens_none(boxless, table):
    out = boxless("data", "check", f"csv:{table}", "--skip-images")
    assert "not looked at" in out
    assert "Unreadable" not in out


def test_check_json_is_one_object(boxless, capsys, table):
    with pytest.raises(DataError):
        boxless("data", "check", f"csv:{table}", "--json")
    report = json.loads(capsys.readouterr().out)
    assert report["images"] == {"train": 2, "test": 2}
    assert [bad["image_id"] for bad in report["bad_images"]] == ["1.jpg", "3.jpg"]
    assert report["bad_images"][1]["source"] == f"{table}:5"
    assert report["imbalance"] == 2.0
    assert report["classes"][1]["present"] == {"train": 1, "test": 1}
    assert report["fingerprint"] is None


def test_check_shows_disagreements_and_notes(boxless, tmp_path):
    root = tmp_path / "VOC2007"
    for folder in ("ImageSets/Main", "JPEGImages", "Annotations"):
        (root / folder).mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(root / "JPEGImages" / "1.jpg")
    (root / "Annotations" / "1.xml").write_text("<annotation/>")
    (root / "classes.txt").write_text("cat\n")
    (root / "ImageSets/Main/trainval.txt").write_text("1\n")
    (root / "ImageSets/Main/cat_trainval.txt").write_text("1 1\n")
    out = boxless("data", "check", f"voc:{root}")
    assert "Tags and boxes disagree" in out
    assert "no test.txt: the split is train" in out


def test_check_of_real_images(boxless, data_root):
    spec = f"voc:{data_root}/voc-mini/VOCdevkit/VOC2007"
    report = json.loads(boxless("data", "check", spec, "--skip-images", "--json"))
    assert report["images"] == {"train": 1591, "test": 749}
    person = next(c for c in report["classes"] if c["name"] == "person")
    assert person["present"] == {"train": 550, "test": 239}
    assert report["disagreements"] == []


def test_names_from_outside_are_never_markup(boxless, tmp_path):
    for n in range(3):
        Image.new("RGB", (8, 8), (n, 0, 0)).save(tmp_path / f"{n}[b].jpg")
    path = tmp_path / "tags [bold]x.csv"
    path.write_text(
        "path,labels,split\n0[b].jpg,[/b],train\n1[b].jpg,[red]dog;:smile:,[/i]\n2[b].jpg,a\x1b[2J,test\n"
    )
    out = boxless("data", "check", f"csv:{path}")
    for name in ("[/b]", "[red]dog", ":smile:", "[/i]", "[bold]x", r"a\x1b[2J"):
        assert name in out


def test_check_says_what_was_taken_for_what_and_what_training_needs(boxless, table):
    text = "Unnamed: 0,filename,tags,is_valid\n"
    for n in range(3):
        text += f'{n},{n}.jpg,"cat, dog",{n > 1}\n'
    table.write_text(text)
    out = boxless("data", "check", f"csv:{table}", "--skip-images")
    assert (
        "read as: path = filename, labels = column tags split at ','; "
        "left out: Unnamed: 0; split = is_valid\n" in out
    )
    assert "for training: only 0 images are held out" in out
    report = json.loads(boxless("data", "check", f"csv:{table}", "--skip-images", "--json"))
    assert report["reading"][0].startswith("path = filename")
    assert report["needs"]


@pytest.mark.parametrize(("to", "name"), [("coco", "x.json"), ("image-folder", "x")])
def test_convert_writes_other_formats_once(boxless, tmp_path, to, name):
    table, images, out = tmp_path / "t.csv", tmp_path / "images", tmp_path / name
    boxless("data", "convert", "scenes:train=4,test=2,size=48", table, "--images", images)
    assert "6 images, 10 classes" in boxless("data", "convert", f"csv:{table}", out, "--to", to)
    with pytest.raises(DataError, match="exists already"):
        boxless("data", "convert", f"csv:{table}", out, "--to", to)


def test_workers_must_be_positive(boxless, table):
    with pytest.raises(ConfigError, match="--workers of at least 1"):
        boxless("data", "check", f"csv:{table}", "--workers", 0)


def test_convert_writes_a_table_once(boxless, tmp_path):
    out, images = tmp_path / "t.csv", tmp_path / "images"
    words = ("data", "convert", "scenes:train=2,test=1,size=48", out, "--images", images)
    assert "3 images, 10 classes" in boxless(*words)
    assert len(out.read_text().splitlines()) == 4
    with pytest.raises(DataError, match="exists already"):
        boxless(*words)
    boxless(*words, "--force")
    assert "Unreadable images          0" in boxless("data", "check", f"csv:{out}")


def test_progress_off_a_terminal_is_quiet_for_short_work(boxless, capsys, tmp_path):
    boxless("data", "check", "scenes:train=2,test=1")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("verb", ["check", "convert"])
def test_help_teaches_with_examples(boxless, capsys, verb):
    out = boxless("data", verb, "--help")
    assert f"boxless data {verb} voc:VOCdevkit/VOC2007" in out
    assert f"boxless data {verb} scenes:train=" in out


def test_help_example_tables_are_real(boxless, tmp_path):
    """The two tables shown by ``boxless data check --help`` can be read."""
    from boxless.cli.data import check

    blocks = (check.__doc__ or "").split("```")[3::2]
    (tmp_path / "images").mkdir()
    for name in ("0001.jpg", "0001b.jpg"):
        Image.new("RGB", (8, 8)).save(tmp_path / "images" / name)
    assert len(blocks) == 2
    for block in blocks:
        lines = [line.strip() for line in block.strip().splitlines()]
        if lines[0].startswith("path,split"):
            lines.append("images/0001b.jpg,train,0,0")  # one row alone has no absent label
        (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
        out = boxless("data", "check", f"csv:{tmp_path}/t.csv", "--json")
        assert [c["name"] for c in json.loads(out)["classes"]] == ["cat", "sofa"]


def test_module_imports_nothing_heavy():
    code = (
        "import sys, boxless.cli.data; "
        "print([m for m in ('torch', 'numpy', 'PIL', 'rich.table', 'cv2') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_reading_and_checking_data_never_imports_torch():
    code = (
        "import sys; from boxless.data.sources import load_manifest; "
        "from boxless.data.check import check_manifest; "
        "check_manifest(load_manifest('scenes:train=2,test=1')); "
        "print([m for m in ('torch', 'cv2', 'onnxruntime') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


class TestUntagged:
    """``data check SPEC --untagged PLACE``: what training would make of these images."""

    @pytest.fixture
    def beside(self, tmp_path):
        """Ten tagged images, and a folder with a copy of a test image, one of train, and more."""
        pool = tmp_path / "pool"
        pool.mkdir()
        rows = ["path,labels,split"]
        for n in range(10):
            coarse = np.random.default_rng(n).integers(0, 256, (6, 6, 3), np.uint8)
            picture = Image.fromarray(coarse).resize((48, 48), Image.Resampling.BICUBIC)
            picture.save(tmp_path / f"{n}.png")
            rows.append(f"{n}.png,{'cat' if n % 2 else 'dog'},{'test' if n > 7 else 'train'}")
            if n == 9:
                picture.resize((40, 40)).save(pool / "again.jpg", quality=80)
        for n in range(3):
            Image.fromarray(
                np.random.default_rng(50 + n).integers(0, 256, (9, 9, 3), np.uint8)
            ).resize((40, 40), Image.Resampling.BICUBIC).save(pool / f"new{n}.png")
        (pool / "own.png").symlink_to(tmp_path / "0.png")
        (pool / "phone.heic").write_bytes(b"x")
        (tmp_path / "t.csv").write_text("\n".join(rows) + "\n")
        return f"csv:{tmp_path}/t.csv", pool

    def test_test_images_among_them_are_named(self, boxless, beside):
        spec, pool = beside
        out = boxless("data", "check", spec, "--untagged", pool)
        assert "Untagged images            4\n  1 more are left out: files of the data set" in out
        assert "1 HEIC files are left out" in out
        assert "Test images among them     1, compared with 3 test and held-out images" in out
        assert f"{pool}/again.jpg shows the same picture as {pool.parent}/9.png (test)" in out
        assert "--run.leaks drop leaves them out" in out
        report = json.loads(boxless("data", "check", spec, "--untagged", pool, "--json"))
        assert [row[0] for row in report["untagged"]["duplicates"]] == [f"{pool}/again.jpg"]

    def test_images_that_lose_their_tags_are_searched_too(self, boxless, beside):
        spec, pool = beside
        picture = Image.open(pool.parent / "8.png")
        for n in range(8):
            picture.save(pool.parent / f"{n}.png", compress_level=n)
        out = boxless("data", "check", spec, "--tags", 1)
        # of 8 in train 1 is held out and 1 keeps its tags
        assert "Untagged images            0\nTraining images that lose their tags  6" in out
        assert "Test images among them     6, compared with 3" in out
        out = boxless("data", "check", spec, "--untagged", pool.parent)
        assert "11 more are left out" in out

    def test_nothing_is_opened_where_nothing_shall_be(self, boxless, beside):
        spec, pool = beside
        out = boxless("data", "check", spec, "--untagged", pool, "--skip-images")
        assert "Test images among them     not looked for" in out

    def test_unreadable_ones_count(self, boxless, beside):
        spec, pool = beside
        (pool / "new0.png").write_bytes(b"no image")
        with pytest.raises(DataError, match=r"1 of 14 images cannot be used: .*new0\.png"):
            boxless("data", "check", spec, "--untagged", pool)

    def test_wrong_uses(self, boxless, beside):
        spec, _ = beside
        with pytest.raises(DataError, match="expected untagged images as a folder"):
            boxless("data", "check", spec, "--untagged", "nowhere")
        with pytest.raises(ConfigError, match="--tags of at least 1"):
            boxless("data", "check", spec, "--tags", -1)
