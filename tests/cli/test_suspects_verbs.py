"""Suspicious tags through the real command: listed, corrected, taken back."""

import csv
import json
import shutil

import pytest
from command_line import TINY, boxless

TAUGHT = (
    *("--teacher.kind", "class_maps", "--teacher.trainable", "head", "--teacher.folds", 2),
    *("--teacher.parts", '["means","peaks"]', "--data.tags", 40),
)


@pytest.fixture(scope="module")
def runs(made_once):
    """A table of scenes and a run that has come to its teacher's cache; look, don't touch."""

    def make(folder):
        scenes = ("scenes:train=80,test=16,size=64", folder / "tags.csv")
        done = boxless("data", "convert", *scenes, "--images", folder / "images")
        assert done.code == 0, done.err
        words = ("cache", f"csv:{folder / 'tags.csv'}", "--recipe", TINY, "--out", folder / "run")
        done = boxless(*words, *TAUGHT)
        assert done.code == 0, done.err

    return made_once("suspects", make)


@pytest.fixture(scope="module")
def listed(runs, tmp_path_factory):
    """Folder of the tables and the page, and what the command said."""
    folder = tmp_path_factory.mktemp("listed")
    out = folder / "check.csv"
    done = boxless("data", "suspects", runs / "run", "--out", out, "--top", 30, "--to-tag", 4)
    assert done.code == 0, done.err
    return folder, done.out


def rows(file):
    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_the_tables_and_the_page(listed, runs):
    folder, told = listed
    found, known = rows(folder / "check.csv"), {r["path"]: r for r in rows(runs / "tags.csv")}
    assert [int(row["rank"]) for row in found] == list(range(1, 31))
    for row in found:
        assert known[row["image"]][row["class"]] == row["tag"]
        assert row["verdict"] == ""
        assert (folder / row["path"]).resolve() == (runs / row["image"]).resolve()
    assert {row["kind"] for row in found} == {"probably wrong tag", "probably missing tag"}
    images = rows(folder / "check-to-tag.csv")
    assert [row["rank"] for row in images] == ["1", "2", "3", "4"]
    page = (folder / "check.html").read_text("utf-8")
    assert page.count("data:image/") == 30 + 4
    for name in ("check.csv", "check-to-tag.csv", "check.html"):
        assert str(folder / name) in told


def test_corrections_go_back_into_a_table(listed, runs, tmp_path):
    found = rows(listed[0] / "check.csv")
    found[0]["verdict"], found[1]["verdict"], found[2]["verdict"] = "flip", "keep", "blank"
    checked, old, new = (tmp_path / name for name in ("checked.csv", "tags.csv", "new.csv"))
    shutil.copyfile(runs / "tags.csv", old)
    (tmp_path / "images").symlink_to(runs / "images")
    with checked.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, found[0])
        writer.writeheader()
        writer.writerows(found)
    words = ("data", "apply", checked, f"csv:{old}", "--out", new)
    done = boxless(*words)
    assert done.code == 0, done.err
    flipped = "removed" if found[0]["tag"] == "1" else "added"
    assert f"1 {flipped}" in done.out
    assert "1 kept" in done.out
    assert "1 made unknown" in done.out
    before, after = rows(old), rows(new)
    changed = {
        (old["path"], key): (old[key], now[key])
        for old, now in zip(before, after, strict=True)
        for key in old
        if key != "path" and old[key] != now[key]
    }
    first, third = found[0], found[2]
    assert changed == {
        (first["image"], first["class"]): (first["tag"], str(1 - int(first["tag"]))),
        (third["image"], third["class"]): (third["tag"], "-1"),
    }
    assert all((new.parent / row["path"]).is_file() for row in after)
    boxless(*words).refused(f"{new} exists already", "--force")
    again = boxless("data", "apply", checked, f"csv:{new}", "--out", tmp_path / "twice.csv")
    again.refused("checked.csv:2: expected the tag", "the tags have changed since then")


def test_by_default_only_what_the_teacher_speaks_against(runs, tmp_path):
    out = tmp_path / "all.json"
    done = boxless("data", "suspects", runs / "run", "--out", out, "--format", "fiftyone")
    assert done.code == 0, done.err
    labels = [
        label for found in json.loads(out.read_text("utf-8"))["labels"].values() for label in found
    ]
    assert labels
    missing = [label for label in labels if label["attributes"]["tag"] == 0]
    assert all(label["confidence"] > 0.5 for label in missing)
    boxless("data", "suspects", runs / "run", "--out", out).refused("exists already", "--force")


def test_a_run_without_folds_is_refused(finished_run, app):
    done = app("data", "suspects", finished_run)
    done.refused("expected a run with teacher.folds of at least 2, found 0", "--teacher.folds 5")
    assert not (finished_run / "suspects.csv").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--top", "-1"), "--top and --to-tag of at least 0"),
        (("--out", "page.html"), "expected --out to name a table, found page.html"),
        (("--data", "scenes:train=4,test=4,size=64"), "is not what"),
    ],
)
def test_wrong_options_are_named(runs, app, words, message):
    app("data", "suspects", runs / "run", *words).refused(message)


def test_a_folder_that_is_no_run_and_a_run_without_its_teacher(runs, app, tmp_path):
    app("data", "suspects", tmp_path).refused("expected the folder of a run")
    (tmp_path / "recipe.toml").write_bytes((runs / "run" / "recipe.toml").read_bytes())
    app("data", "suspects", tmp_path).refused("has no finished teacher cache yet")
