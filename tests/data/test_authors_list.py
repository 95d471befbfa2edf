import numpy as np
import pytest

from boxless.data import authors_list
from boxless.errors import DataError


@pytest.fixture
def lists(tmp_path):
    (tmp_path / "train.txt").write_text(
        "img/a.jpg 1 0 0 0 671 671 0.5 1 2 3 4 0.25\nimg/b.jpg 0 1 5 5 6 6 1 7 7 8 8 1\n"
    )
    (tmp_path / "test.txt").write_text("img/c.jpg 0 0 1 1 2 2 1 0 0 0 0 0\n")
    (tmp_path / "train.txt.classes.txt").write_text("cat\ndog\n")
    return tmp_path


def test_tags_splits_and_paths(lists):
    found = authors_list.read(f"{lists}/train.txt,test=test.txt")
    assert found.classes == ("cat", "dog")
    assert [(r.image_id, r.split, r.labels, r.path) for r in found.records] == [
        ("img/a.jpg", "train", (1, 0), f"{lists}/img/a.jpg"),
        ("img/b.jpg", "train", (0, 1), f"{lists}/img/b.jpg"),
        ("img/c.jpg", "test", (0, 0), f"{lists}/img/c.jpg"),
    ]
    assert found.records[2].source == f"{lists}/test.txt:1"
    assert not found.has_boxes  # proposals are no true boxes
    assert found.notes[0].startswith("2 boxes an image")


def test_options(lists, tmp_path):
    found = authors_list.read(f"{lists}/train.txt,root=/pictures,classes=2")
    assert found.records[0].path == "/pictures/img/a.jpg"
    assert found.classes == ("class-1", "class-2")
    assert found.split_names == ("train",)
    (tmp_path / "names.txt").write_text("one\ntwo\n")
    assert authors_list.read(f"{lists}/train.txt,classes=names.txt").classes == ("one", "two")


def test_unnamed_classes_sort_as_they_are_numbered(tmp_path):
    (tmp_path / "l.txt").write_text("a.jpg " + "0 " * 80)
    classes = authors_list.read(f"{tmp_path}/l.txt,classes=80").classes
    assert classes[0] == "class-01"
    assert list(classes) == sorted(classes)


def test_boxes_come_line_by_line(lists):
    first, *_, last = authors_list.read_boxes(f"{lists}/train.txt,test=test.txt")
    assert first.image_id == "img/a.jpg"
    assert np.array(first.numbers, float).reshape(-1, 5).tolist() == [
        [0, 0, 671, 671, 0.5],
        [1, 2, 3, 4, 0.25],
    ]
    assert last.source == f"{lists}/test.txt:1"


def test_write_and_read_tags(lists):
    before = authors_list.read(f"{lists}/train.txt")
    out = lists / "out" / "list.txt"
    authors_list.write(before, out, before.image_ids, lambda r: f"{len(r.image_id)} 1 2 3 4")
    assert out.read_bytes() == b"img/a.jpg 1 0 9 1 2 3 4\nimg/b.jpg 0 1 9 1 2 3 4\n"
    after = authors_list.read(f"{out},root={lists}")
    assert after.classes == before.classes
    assert [(r.image_id, r.path, r.labels) for r in after.records] == [
        (r.image_id, r.path, r.labels) for r in before.records
    ]
    assert sorted(p.name for p in out.parent.iterdir()) == ["list.txt", "list.txt.classes.txt"]


def test_a_path_with_spaces_is_refused_before_anything_is_written(lists):
    manifest = authors_list.read(f"{lists}/train.txt")
    with pytest.raises(DataError, match=r"train\.txt:2: the list format cannot hold .*'b c\.jpg'"):
        authors_list.write(manifest, lists / "o.txt", ["a.jpg", "b c.jpg"], lambda _: "")
    assert not list(lists.glob("*o.txt*"))


def test_nothing_half_written_where_boxes_fail(lists):
    manifest = authors_list.read(f"{lists}/train.txt")

    def fail(record):
        if record.image_id == "img/b.jpg":
            raise DataError("no boxes")
        return "1 1 2 2 1"

    with pytest.raises(DataError, match="no boxes"):
        authors_list.write(manifest, lists / "o.txt", manifest.image_ids, fail)
    assert not list(lists.glob("*o.txt*"))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("img/b.jpg 0 1 5 5 6 6 1", r"train\.txt:2: expected 2 boxes as at .*:1, found 1"),
        (
            "img/b.jpg 0 1 5 5 6 6",
            "expected a path, 2 labels and five numbers a box, found 7 words",
        ),
        ("img/b.jpg 0", "expected a path, 2 labels and five numbers"),
        (
            "my pic.jpg 0 1 5 5 6 6 1 7 7 8 8",
            "expected the label 0 or 1 as word 2, found 'pic.jpg'",
        ),
        ("img/b.jpg 0 2 5 5 6 6 1 7 7 8 8 1", "expected the label 0 or 1 as word 3, found '2'"),
        ("img/a.jpg 0 1 5 5 6 6 1 7 7 8 8 1", "already taken"),
    ],
)
def test_bad_lines_are_named(lists, line, told):
    path = lists / "train.txt"
    path.write_text(path.read_text().splitlines()[0] + f"\n{line}\n")
    with pytest.raises(DataError, match=told):
        authors_list.read(str(path))


def test_classes_are_needed(lists):
    with pytest.raises(DataError, match=r"how many .* labels.*\n.*test\.txt\.classes\.txt beside"):
        authors_list.read(f"{lists}/test.txt")
    with pytest.raises(DataError, match="classes as a whole number from 1, found '0'"):
        authors_list.read(f"{lists}/test.txt,classes=0")
    with pytest.raises(DataError, match=r"nowhere\.txt: cannot be read"):
        authors_list.read(f"{lists}/nowhere.txt,classes=2")
    (lists / "empty.txt").touch()
    with pytest.raises(DataError, match="has no images"):
        authors_list.read(f"{lists}/empty.txt,classes=2")
