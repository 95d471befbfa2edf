import shutil
from collections import Counter
from pathlib import Path

import pytest

from boxless.data import voc
from boxless.errors import DataError
from boxless.types import TrueBox

POSITIVES = {  # train, test; from the data set's own description
    "person": (550, 239), "car": (185, 75), "dog": (158, 74), "cat": (148, 74),
    "pottedplant": (109, 52), "bottle": (101, 50), "motorbike": (98, 42), "tvmonitor": (96, 37),
    "aeroplane": (78, 23), "boat": (62, 27), "diningtable": (59, 19),
}  # fmt: skip


def read(tree):
    return voc.read(str(tree.root))


def by_id(manifest):
    return {record.image_id: record for record in manifest.records}


@pytest.fixture(scope="module")
def real(data_root: Path):
    return voc.read(str(data_root / "voc-mini" / "VOCdevkit" / "VOC2007"))


class TestRealImages:
    def test_counts(self, real):
        found = real
        assert found.classes == voc.CLASSES
        train, test = found.split("train"), found.split("test")
        assert (len(train), len(test)) == (1591, 749)
        assert found.split_names == ("train", "test")
        assert found.has_boxes
        for name, expected in POSITIVES.items():
            k = found.classes.index(name)
            counts = tuple(int((part.labels[:, k] == 1).sum()) for part in (train, test))
            assert counts == expected, name
        assert int(((found.labels == 1).sum(axis=1) >= 2).sum()) == 1315

    def test_one_record_in_full(self, real, data_root: Path):
        root = data_root / "voc-mini" / "VOCdevkit" / "VOC2007"
        record = by_id(real)["000002"]
        assert record.path == str(root / "JPEGImages" / "000002.jpg")
        assert record.split == "test"
        train = voc.CLASSES.index("train")
        assert record.labels == tuple(int(k == train) for k in range(20))
        assert record.boxes == (TrueBox(train, (105.0, 152.0, 158.0, 230.0), False),)
        assert record.source == f"{root}/ImageSets/Main/test.txt:1"

    def test_unknown_comes_from_difficult_objects_only(self, real):
        for record in real.records:
            clear = {box.label for box in record.boxes or () if not box.difficult}
            assert not any(record.labels[k] == -1 for k in clear)


def test_tags_from_boxes_where_class_files_are_missing(voc_tree):
    records = by_id(read(voc_tree))
    assert records["1"].labels == (1, 0)
    assert records["2"].labels == (-1, 1)  # the only cat is difficult
    assert records["3"].labels == (0, 0)
    assert records["4"].labels == (0, 1)
    assert Counter(r.split for r in records.values()) == {"train": 3, "test": 1}


def test_convention_boxes_become_zero_based_with_exclusive_ends(voc_tree):
    records = by_id(read(voc_tree))
    assert records["1"].boxes == (TrueBox(0, (0.0, 0.0, 24.0, 16.0), False),)  # the whole image
    assert records["2"].boxes == (
        TrueBox(0, (1.0, 2.0, 10.0, 9.0), True),
        TrueBox(1, (4.0, 4.0, 8.0, 8.0), False),
    )
    assert records["3"].boxes == ()


def test_class_files_win_over_boxes(voc_tree):
    voc_tree.tags("cat", "trainval", {"1": -1, "2": 1, "3": 0})
    records = by_id(read(voc_tree))
    assert [records[i].labels for i in "123"] == [(0, 0), (1, 1), (-1, 0)]


def test_class_file_may_tell_of_images_outside_the_split(voc_tree):
    voc_tree.tags("cat", "trainval", {"1": 1, "2": -1, "3": -1, "99": 1})
    assert by_id(read(voc_tree))["1"].labels == (1, 0)


@pytest.mark.parametrize(
    ("there", "splits"),
    [
        (("train",), {"train": "1"}),
        (("train", "test"), {"train": "1", "test": "4"}),
        (("train", "val", "test"), {"train": "1", "val": "2", "test": "4"}),
        (("train", "val", "trainval", "test"), {"train": "3", "test": "4"}),
        (("train", "val", "trainval"), {"train": "1", "test": "2"}),  # as good as no test part
        (("trainval",), {"train": "3"}),
        (("train", "trainval"), {"train": "3"}),
    ],
)
def test_which_lists_make_which_splits(voc_tree, there, splits):
    (voc_tree.main / "trainval.txt").unlink()
    (voc_tree.main / "test.txt").unlink()
    ids = {"train": "1", "val": "2", "trainval": "3", "test": "4"}
    for name in there:
        voc_tree.split(name, ids[name])
    found = read(voc_tree)
    assert {r.split: r.image_id for r in found.records} == splits
    assert bool(found.notes) == ("test" not in there)


def test_the_test_part_may_be_drawn_or_named(voc_tree):
    voc_tree.split("trainval", "1", "2", "3", "4")
    (voc_tree.main / "test.txt").unlink()
    assert set(voc.read(f"{voc_tree.root},test=50%").split_names) == {"train", "test"}
    assert any("test=20% draws some" in note for note in read(voc_tree).notes)


def test_twenty_classes_without_a_class_list(voc_tree):
    (voc_tree.root / "classes.txt").unlink()
    assert read(voc_tree).classes == voc.CLASSES
    assert len(voc.CLASSES) == 20


def test_tags_alone_are_enough(voc_tree):
    shutil.rmtree(voc_tree.root / "Annotations")
    for name in ("cat", "dog"):
        voc_tree.tags(name, "trainval", {"1": 1, "2": -1, "3": 0})
        voc_tree.tags(name, "test", {"4": -1})
    found = read(voc_tree)
    assert not found.has_boxes
    assert by_id(found)["3"].labels == (-1, -1)
    (voc_tree.main / "dog_test.txt").unlink()
    with pytest.raises(DataError, match=r"'dog' in .*dog_test\.txt or boxes"):
        read(voc_tree)


def test_a_labelling_tool_that_counts_from_zero(voc_tree):
    voc_tree.image("1", ("cat", 0, (0, 0, 24, 16)))
    assert by_id(read(voc_tree))["1"].boxes == (TrueBox(0, (0.0, 0.0, 24.0, 16.0)),)


@pytest.mark.parametrize("corner", [(-1, 1), (0, -3), (-2.5, -7)])
def test_a_box_that_starts_before_the_image_starts_at_its_edge(voc_tree, corner):
    voc_tree.image("1", ("cat", 0, (*corner, 20, 10)))
    assert by_id(read(voc_tree))["1"].boxes == (TrueBox(0, (0.0, 0.0, 20.0, 10.0)),)


class TestOtherPrograms:
    """Folders as CVAT, labelImg, Roboflow and LabelMe write them."""

    @pytest.fixture
    def own(self, new_voc_tree, tmp_path):
        """A folder without a list of classes, with one that is none of VOC's 20."""
        tree = new_voc_tree(tmp_path / "mine")
        (tree.root / "classes.txt").unlink()
        tree.image("1", ("cat", 0, (1, 1, 24, 16)))
        tree.image("2", ("wombat", 0, (1, 1, 24, 16)))
        tree.split("train", "1", "2")
        return tree

    def test_own_classes_are_found(self, own):
        found = read(own)
        assert found.classes == ("cat", "wombat")
        assert any("classes.txt in the folder fixes them" in note for note in found.notes)

    def test_an_unknown_class_names_the_list(self, own):
        (own.root / "classes.txt").write_text("cat\ndog\n")
        with pytest.raises(DataError, match="unknown class 'wombat'") as no:
            read(own)
        assert (
            no.value.hint == f"classes of your own stand in {own.root}/classes.txt, one name a line"
        )

    def test_cvat(self, own):
        (own.root / "labelmap.txt").write_text(
            "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:1,2,3::\nwombat:4,5,6::\n"
            "zebra:7,8,9::\n"
        )
        (own.main / "train.txt").unlink()
        for n in range(3, 40):
            own.image(str(n), ("cat", 0, (1, 1, 24, 16)))
        own.split("default", *map(str, range(1, 40)))
        found = read(own)
        assert found.classes == ("cat", "wombat", "zebra")
        assert {"train", "test"} == set(found.split_names)
        assert "the only list is default.txt" in found.notes
        assert any("80 % train and 20 % test" in note for note in found.notes)

    def test_lists_of_other_names(self, own):
        (own.main / "train.txt").unlink()
        own.split("Training", "1")
        own.split("Testing", "2")
        assert [(r.image_id, r.split) for r in read(own).records] == [("2", "test"), ("1", "train")]

    def test_ids_with_blanks_and_folders(self, own):
        for name in ("my photo (1)", "deep/er"):
            path = own.root / "JPEGImages" / f"{name}.jpg"
            path.parent.mkdir(exist_ok=True)
            shutil.copy(own.root / "JPEGImages" / "1.jpg", path)
            xml = own.root / "Annotations" / f"{name}.xml"
            xml.parent.mkdir(exist_ok=True)
            shutil.copy(own.root / "Annotations" / "1.xml", xml)
        own.split("train", "my photo (1)", "deep/er.jpg")
        own.tags("cat", "train", {"my photo (1)": -1, "deep/er": 1})
        found = by_id(read(own))
        assert found["my photo (1)"].labels == (0,)
        assert found["deep/er"].path == f"{own.root}/JPEGImages/deep/er.jpg"

    @pytest.mark.parametrize(
        "shape",
        ["<polygon><x1>2</x1><y1>3</y1><x2>9</x2><y2>3</y2><x3>5</x3><y3>8</y3></polygon>",
         "<polygon><pt><x>2</x><y>3</y></pt><pt><x>9</x><y>8</y></pt></polygon>"],
    )  # fmt: skip
    def test_a_polygon_instead_of_a_box(self, own, shape):
        thing = f"<name>cat</name><difficult>False</difficult>{shape}"
        xml = f"<annotation><object>{thing}</object></annotation>"
        (own.root / "Annotations" / "1.xml").write_text(xml)
        assert by_id(read(own))["1"].boxes == (TrueBox(0, (2.0, 3.0, 9.0, 8.0)),)

    def test_an_object_without_any_shape_is_a_tag(self, own):
        thing = "<name>cat</name><difficult>Unspecified</difficult>"
        xml = f"<annotation><object>{thing}</object></annotation>"
        (own.root / "Annotations" / "1.xml").write_text(xml)
        record = by_id(read(own))["1"]
        assert (record.labels, record.boxes) == ((1, 0), ())

    def test_roboflow(self, own, tmp_path):
        for number, split in ((1, "train"), (2, "valid")):
            folder = tmp_path / "robo" / split
            folder.mkdir(parents=True)
            shutil.copy(own.root / "JPEGImages" / f"{number}.jpg", folder)
            shutil.copy(own.root / "Annotations" / f"{number}.xml", folder)
        shutil.copy(own.root / "JPEGImages" / "1.jpg", tmp_path / "robo" / "train" / "bare.jpg")
        found = voc.read(f"{tmp_path}/robo")
        assert [(r.image_id, r.split, r.labels) for r in found.records] == [
            ("train/1", "train", (1, 0)), ("valid/2", "test", (0, 1)),
        ]  # fmt: skip
        assert "1 images have no XML file and are left out" in found.notes


def fill(tree, *, first_id, lists):
    """One image for each list."""
    for number, name in enumerate(lists):
        image_id = f"{first_id}{number}"
        tree.image(image_id, ("cat", 0, (1, 1, 24, 16)))
        tree.split(name, image_id)


class TestSeveralEditions:
    @pytest.fixture
    def devkit(self, tmp_path, new_voc_tree):
        root = tmp_path / "VOCdevkit"
        fill(
            new_voc_tree(root / "VOC2007"), first_id="1", lists=("train", "val", "trainval", "test")
        )
        fill(new_voc_tree(root / "VOC2012"), first_id="2", lists=("train", "val", "trainval"))
        return root

    def splits(self, manifest):
        return {record.image_id: record.split for record in manifest.records}

    def test_one_of_them(self, devkit):
        assert self.splits(voc.read(f"{devkit}/VOC2007")) == {"12": "train", "13": "test"}
        alone = voc.read(f"{devkit}/VOC2012")
        assert self.splits(alone) == {"20": "train", "21": "test"}
        assert voc.read(f"{devkit},years=2012").notes == (
            "VOC2012: no test.txt: all its images train",
        )

    def test_both_together(self, devkit):
        both = voc.read(f"{devkit},years=2007+2012")
        assert self.splits(both) == {"12": "train", "13": "test", "22": "train"}
        assert (both.name, both.classes) == ("VOC2007+2012", ("cat", "dog"))
        assert both.records[-1].path == f"{devkit}/VOC2012/JPEGImages/22.jpg"

    def test_the_folder_above_points_to_all_of_them(self, devkit):
        with pytest.raises(DataError) as caught:
            voc.read(str(devkit))
        for part in ("VOC2007 or voc:", "VOC2012?", f"voc:{devkit},years=2007+2012"):
            assert part in caught.value.hint

    def test_errors(self, devkit):
        with pytest.raises(DataError, match=r"layout at .*VOC2010, found nothing"):
            voc.read(f"{devkit},years=2007+2010")
        with pytest.raises(DataError, match=r"22' .*already taken|already taken at .*VOC2012"):
            voc.read(f"{devkit},years=2012+2012")
        (devkit / "VOC2012" / "classes.txt").write_text("cat\ncow\n")
        with pytest.raises(DataError, match=r"VOC2012: its classes differ from those of .*VOC2007"):
            voc.read(f"{devkit},years=2007+2012")


def test_an_annotation_as_voc2012_writes_it(voc_tree):
    """Parts and actions come before the box; coordinates are fractions; part boxes do not count."""
    (voc_tree.root / "Annotations" / "1.xml").write_text(
        "<annotation><folder>VOC2012</folder><filename>1.jpg</filename><segmented>1</segmented>"
        "<size><width>24</width><height>16</height><depth>3</depth></size>"
        "<object><name>dog</name><actions><jumping>0</jumping><other>1</other></actions>"
        "<part><name>head</name><bndbox><xmin>3</xmin><ymin>3</ymin><xmax>4</xmax><ymax>4</ymax>"
        "</bndbox></part><bndbox><xmax>20.5</xmax><xmin>2.25</xmin><ymax>12</ymax><ymin>1</ymin>"
        "</bndbox><difficult>0</difficult><pose>Left</pose><point><x>4</x><y>5</y></point></object>"
        "</annotation>"
    )
    assert by_id(read(voc_tree))["1"].boxes == (TrueBox(1, (1.25, 0.0, 20.5, 12.0), False),)
