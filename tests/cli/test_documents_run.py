"""Commands and Python blocks of the documents that need a run or photographs, as they stand."""

import ast
import shutil
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from boxless.cli.app import main

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs"))
from documents import DOCUMENTS, blocks, commands

NOT_HERE = ("s3://", "ray", "voc:", "coco:", "--push", "suspects")
"""What the folder below has not: object storage, a cluster, large data sets, the Hub, a
cross-fitted teacher (whose verbs ``test_suspects_verbs.py`` runs)."""


def of_verbs(*verbs):
    """Commands that begin with one of these words and can run in the folder, each once."""
    found = dict.fromkeys(tuple(words) for _, words in commands() if words[0] in verbs)
    return [words for words in found if not any(gone in " ".join(words) for gone in NOT_HERE)]


@pytest.fixture(scope="module")
def place(finished_run, made_once):
    """A folder with everything that the documents name."""

    def make(folder):
        for run in ("runs/mine", "runs/voc"):
            shutil.copytree(finished_run, folder / run)
        shutil.copy(finished_run / "export" / "student.onnx", folder)
        words = ("data", "convert", "scenes:train=8,test=2,size=64", str(folder / "tags.csv"))
        main([*words, "--images", str(folder / "photos")])
        pixels = np.random.default_rng(0).integers(0, 256, (2, 48, 64, 3), np.uint8)
        for number, image in enumerate(pixels):  # nobody tagged these
            Image.fromarray(image).save(folder / "photos" / f"new-{number}.png")
        for name in ("street.jpg", "beach.jpg"):
            Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(folder / name)
        (folder / "drawn").mkdir()
        for name in ("classes.txt", "train.txt.classes.txt"):
            (folder / name).write_text("cat\ndog\n")
        (folder / "train.txt").write_text("street.jpg 1 0 0 0 671 671 0.5\n")
        (folder / "test.txt").write_text("beach.jpg 0 1 5 5 600 600 1\n")

    return made_once("documents", make)


@pytest.fixture
def here(place, tmp_path, monkeypatch):
    monkeypatch.chdir(shutil.copytree(place, tmp_path / "here"))


@pytest.mark.parametrize("words", of_verbs("predict", "export", "data"), ids=" ".join)
def test_commands_run(words, place, tmp_path, preloaded):
    here = shutil.copytree(place, tmp_path / "here")
    tiny = ("--limit", "90") if "--quantize" in words else ()  # of 16 images few points are left
    fewer = ["3" if before == "--tags" else word for before, word in pairwise(("", *words))]
    done = preloaded(*fewer, *tiny, cwd=here)
    assert done.code == 0, done.err
    if "--out" in words:
        assert (here / words[words.index("--out") + 1]).exists()


def test_enough_commands_run():
    assert {words[0] for words in of_verbs("predict", "export", "data")} == {
        "predict", "export", "data",
    }  # fmt: skip


def documents(*, that_train):
    """Documents with Python blocks: those that train for long, or the others."""
    found = {path: "".join(blocks(path, "python")) for path in DOCUMENTS}
    return [
        path
        for path, text in found.items()
        if text and any(word in text for word in ("boxless.train(", "sys.argv")) == that_train
    ]


@pytest.mark.parametrize("path", documents(that_train=True), ids=lambda path: path.name)
def test_python_blocks_that_train_parse_and_import_what_is_there(path):
    for block in blocks(path, "python"):
        for node in ast.parse(block).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                exec(compile(ast.Module([node], []), path.name, "exec"), {})


@pytest.mark.parametrize("path", documents(that_train=False), ids=lambda path: path.name)
def test_python_blocks_run(path, here, app):
    if any("hub/voc" in block for block in blocks(path, "python")):
        assert app("export", "runs/voc", "--hub", "hub/voc").code == 0
    if any("loadmat" in block for block in blocks(path, "python")):
        authors_file("SelectiveSearchVOC2007test.mat")
    space = {}
    for number, block in enumerate(blocks(path, "python")):
        exec(compile(block, f"{path.name}, block {number}", "exec"), space)


def authors_file(path):
    """Boxes in MATLAB's form: rows of y1, x1, y2, x2 from 1, per image."""
    from scipy.io import savemat

    images, boxes = np.empty((1, 1), object), np.empty((1, 1), object)
    images[0, 0], boxes[0, 0] = "000001", np.array([[1, 1, 40, 60]], np.float64)
    savemat(path, {"images": images.T, "boxes": boxes})
