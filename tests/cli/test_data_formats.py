"""MS-COCO, NUS-WIDE and the authors' lists through the real command line."""

import json

import numpy as np
import pytest
from command_line import boxless, train_words
from PIL import Image

from boxless.data.nus_wide import CONCEPTS
from boxless.proposals.store import ProposalStore


@pytest.fixture
def lists(tmp_path):
    """A list of two images, 48 x 32 and 31 x 77 pixels, and one for testing."""
    (tmp_path / "img").mkdir()
    for name, size in (("a", (48, 32)), ("b", (31, 77)), ("c", (672, 336))):
        pixels = np.random.default_rng(size[0]).integers(0, 256, (*size[::-1], 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "img" / f"{name}.png")
    (tmp_path / "train.txt").write_text(
        "img/a.png 1 0 0 0 671 671 0.5 10 20.25 300 400.5 0.123456 0 0 0 0 0\n"
        "img/b.png 0 1 5 5 6 6 1 7 7 8 8 1 0 600 33.333 671 0.000012\n"
    )
    (tmp_path / "test.txt").write_text("img/c.png 0 0 14 28 27 55 0.25 0 0 0 0 0 0 0 0 0 0\n")
    (tmp_path / "train.txt.classes.txt").write_text("cat\ndog\n")
    return tmp_path


def test_a_list_becomes_a_store_and_comes_back_byte_for_byte(lists, app):
    spec = f"list:{lists}/train.txt,test=test.txt"
    store = lists / "store"
    done = boxless("data", "boxes", spec, store)
    assert (done.code, done.out) == (0, f"{store}: boxes of 3 images\n"), done.err
    opened = ProposalStore.open(store)
    assert opened["img/c.png"].boxes.tolist() == [[14.0, 14.0, 28.0, 28.0]]
    assert opened["img/c.png"].scores.tolist() == [0.25]
    assert len(opened["img/a.png"]) == 2
    assert dict(opened.index.inputs.settings) == {"frame": 672, "boxes": 3}
    for split in ("train", "test"):
        out = lists / "copies" / f"{split}.txt"
        words = ("--to", "list", "--split", split, "--proposals", store)
        done = app("data", "convert", spec, out, *words)
        assert done.code == 0, done.err
        expected = (lists / f"{split}.txt").read_text().replace("0.000012", "1.2e-05")
        assert out.read_text() == expected
    again = f"list:{lists}/copies/train.txt,test=test.txt,root={lists}"
    done = app("data", "boxes", again, lists / "store2")
    assert done.code == 0, done.err
    assert ProposalStore.open(lists / "store2").fingerprint == opened.fingerprint
    app("data", "boxes", spec, store).refused("already holds a finished proposal store")


def test_boxes_of_a_list_are_trained_on(lists, preloaded, tmp_path, app):
    """The store of `data boxes` in the place of a file: every box and score arrives in the run."""
    spec, store = f"list:{lists}/train.txt,test=test.txt", lists / "store"
    assert app("data", "boxes", spec, store).code == 0
    given = ("--proposals.method", "file", "--proposals.file", store, "--data.held_out", "0")
    out = tmp_path / "run"
    done = preloaded(*train_words(out, *given, verb="teacher", spec=spec))
    assert done.code == 0, done.err
    ours, theirs = ProposalStore.open(out / "proposals" / "store"), ProposalStore.open(store)
    for name in theirs:
        order = np.argsort(-theirs[name].scores, kind="stable")
        np.testing.assert_array_equal(ours[name].boxes, theirs[name].boxes[order])
        np.testing.assert_array_equal(ours[name].scores, theirs[name].scores[order])
    assert (out / "teacher" / "weights.safetensors").exists()
    again = preloaded(*train_words(out, *given, verb="teacher", spec=spec))
    assert again.err.count("done already") == 2
    wrong = ("--proposals.method", "file", "--proposals.file", lists / "img")
    wrong = (*wrong, "--data.held_out", "0")
    done = preloaded(*train_words(tmp_path / "other", *wrong, spec=spec))
    done.refused("expected a proposal store in", "img")


def test_another_data_set_becomes_a_list(lists, app):
    table = lists / "tags.csv"
    table.write_text("path,split,cat,dog\nimg/a.png,train,1,0\nimg/b.png,test,0,-1\n")
    store = lists / "store"
    grid = app("proposals", f"csv:{table}", "--method", "grid", "--max-boxes", 7, "--out", store)
    assert grid.code == 0, grid.err
    out = lists / "deep" / "list.txt"
    words = ("data", "convert", f"csv:{table}", out, "--to", "list")
    done = app(*words, "--proposals", store)
    assert done.code == 0, done.err
    assert "1 labels are unknown and written as -1" in done.err
    first, second = (line.split(" ") for line in out.read_text().splitlines())
    assert first[:3] == ["../img/a.png", "1", "0"]
    assert second[:3] == ["../img/b.png", "0", "-1"]
    assert len(first) == len(second) == 3 + 7 * 5
    app("data", "boxes", f"list:{out}", lists / "back")
    before, after = ProposalStore.open(store), ProposalStore.open(lists / "back")
    for name in ("img/a.png", "img/b.png"):
        assert after[f"../{name}"].boxes.tobytes() == before[name].boxes.tobytes()
        assert after[f"../{name}"].scores.tobytes() == before[name].scores.tobytes()
    assert app(*words, "--force", "--root", lists).code == 0  # tags alone
    assert out.read_text() == "img/a.png 1 0\nimg/b.png 0 -1\n"


def test_wrong_uses_are_refused(lists, app):
    spec, out = f"list:{lists}/train.txt", lists / "o"
    convert = ("data", "convert", spec, out)
    app(*convert, "--boxes", 3).refused("are for lists", "add --to list")
    app(*convert, "--to", "list", "--images", out).refused("draws scenes for a table")
    app(*convert, "--to", "list", "--boxes", 0).refused("--boxes of at least 1, found 0")
    app(*convert, "--to", "list", "--proposals", lists).refused("expected a proposal store in")
    app(*convert, "--split", "tset").refused("unknown split 'tset'")
    app("data", "boxes", "scenes:", out).refused("expected a list with boxes", "scenes:")
    app("data", "boxes", spec, out, "--frame", 0).refused("--frame of at least 1")
    app("data", "boxes", spec, out, "--frame", 500).refused("train.txt:1: box 1: expected 0 <=")
    app("data", "convert", "scenes:train=1,test=1", out, "--to", "list").refused("--images DIR")
    (lists / "img" / "b.png").unlink()
    app("data", "boxes", spec, out).refused("1 of 2 image files are missing", "train.txt:2")
    assert not out.exists()
    assert not list(lists.glob("o.*"))


def test_check_of_real_coco_images(data_root, app):
    done = app("data", "check", f"coco:{data_root}/coco-mini/coco,unlabelled=keep", "--json")
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert report["images"] == {"train": 258, "test": 252}
    assert report["without_tags"] == 5
    assert report["bad_images"] == []
    app("data", "check", f"coco:{data_root}/coco-mini").refused("instances_train2014.json")


def test_check_of_flat_nus_wide_lists(tmp_path, app):
    for number in range(3):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / f"{number}.jpg")
    rows = (" ".join([f"{n}.jpg", *("01"[k == n] for k in range(81))]) + "\n" for n in range(4))
    (tmp_path / "all.txt").write_text("".join(rows))
    spec = f"nus-wide:{tmp_path}/all.txt"
    app("data", "check", spec).refused("1 of 4 image files are missing", "3.jpg", "missing=drop")
    report = json.loads(app("data", "check", f"{spec},missing=drop", "--json").out)
    assert report["images"] == {"train": 2, "test": 1}
    assert [c["name"] for c in report["classes"]] == list(CONCEPTS)
    assert any("left out" in note for note in report["notes"])
