import pytest

from boxless.data import table as csv
from boxless.data import voc
from boxless.data.check import check_manifest
from boxless.data.sources import load_manifest


def test_counts(voc_tree):
    report = check_manifest(voc.read(str(voc_tree.root)))
    assert report.images == {"train": 3, "test": 1}
    assert report.tags_per_image == {"train": pytest.approx(2 / 3), "test": 1.0}
    assert report.histogram == {0: 1, 1: 3}
    assert report.without_tags == 1
    cat, dog = report.classes
    assert (cat.present, cat.unknown) == ({"train": 1, "test": 0}, {"train": 1, "test": 0})
    assert (dog.present, dog.unknown) == ({"train": 1, "test": 1}, {"train": 0, "test": 0})
    assert report.imbalance == 1.0
    assert report.disagreements == report.bad_images == report.duplicates == ()
    assert report.fingerprint == voc.read(str(voc_tree.root)).fingerprint


def test_tags_and_boxes_that_disagree(voc_tree):
    # 1: a clear cat tagged absent; 2: a difficult cat tagged absent; 3: a cat without box.
    voc_tree.tags("cat", "trainval", {"1": -1, "2": -1, "3": 1})
    # 2: a clear dog tagged unknown.
    voc_tree.tags("dog", "trainval", {"1": -1, "2": 0, "3": 0})
    cat, dog = check_manifest(voc.read(str(voc_tree.root)), images=False).disagreements
    assert (cat.name, cat.tag_without_box, cat.box_without_tag) == ("cat", 1, 2)
    assert cat.examples == ("3", "1", "2")
    assert (dog.name, dog.tag_without_box, dog.box_without_tag) == ("dog", 0, 1)


def test_duplicates_within_and_across_splits(csv_file, tmp_path):
    for copy in ("a2.png", "a3.png"):
        (tmp_path / copy).write_bytes((tmp_path / "a.png").read_bytes())
    table = csv_file(
        "path,labels,split\na.png,x,train\na2.png,x,train\na3.png,x,test\nb.png,x,test\n"
    )
    report = check_manifest(csv.read(str(table)))
    assert report.duplicates == (("a.png", "a2.png", "a3.png"),)
    assert report.repeated == 1


def test_bad_files_are_listed_with_their_lines(csv_file, tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    table = csv_file("path,labels,split\na.png,x,train\nb.png,,train\ngone.png,x,test\n")
    seen = []
    report = check_manifest(csv.read(str(table)), on_done=lambda: seen.append(1))
    assert [(b.record.source[-10:], b.record.image_id) for b in report.bad_images] == [
        ("tags.csv:2", "a.png"),
        ("tags.csv:4", "gone.png"),
    ]
    assert len(seen) == 3
    assert report.fingerprint is None  # it needs every file
    untouched = check_manifest(csv.read(str(table)), images=False)
    assert not untouched.looked_at_images
    assert untouched.bad_images == ()


def test_a_class_that_never_occurs_has_no_ratio(csv_file):
    table = csv_file("path,split,x,y\na.png,train,1,0\n")
    assert check_manifest(csv.read(str(table))).imbalance is None


def test_scenes_are_sound():
    report = check_manifest(load_manifest("scenes:train=30,test=10"))
    assert report.disagreements == report.bad_images == report.duplicates == ()
    assert sum(report.histogram.values()) == 40
