import json
from pathlib import Path

import pytest

from boxless.data import coco
from boxless.errors import DataError
from boxless.types import TrueBox

CATEGORIES = [{"id": 18, "name": "dog"}, {"id": 3, "name": "cat"}]  # not in order of their ids


def thing(image_id, category_id, box, *, crowd=0, **more):
    polygon = [[1.5, 2.5, 3.25, 4.0, 5.0, 6.0]]
    counts = {"counts": [1, 2, 3], "size": [4, 5]}
    return {
        "id": 100 * image_id + category_id,
        "image_id": image_id,
        "category_id": category_id,
        "bbox": box,
        "iscrowd": crowd,
        "area": 1.0,
        "segmentation": counts if crowd else polygon,
        **more,
    }


class CocoTree:
    """A folder in COCO's layout; images are empty files."""

    def __init__(self, root: Path, year: str = "2014") -> None:
        self.root, self.year = root, year
        (root / "annotations").mkdir(parents=True, exist_ok=True)

    def write(self, name: str, image_ids, annotations, **changes) -> Path:
        folder = self.root / f"{name}{self.year}"
        folder.mkdir(exist_ok=True)
        for image_id in image_ids:
            (folder / f"{image_id:012d}.jpg").touch()
        content = {
            "info": {"year": int(self.year)},
            "images": [{"id": i, "file_name": f"{i:012d}.jpg", "height": 40} for i in image_ids],
            "licenses": [{"id": 1, "name": "none"}],
            "annotations": annotations,
            "categories": CATEGORIES,
            **changes,
        }
        path = self.root / "annotations" / f"instances_{name}{self.year}.json"
        path.write_text(json.dumps(content))
        return path


@pytest.fixture
def tree(tmp_path):
    made = CocoTree(tmp_path / "coco")
    made.write(
        "train",
        [7, 5, 9, 11],
        [
            thing(5, 3, [0, 0, 10.5, 4]),
            thing(7, 18, [1, 2, 3, 4], crowd=1),
            thing(5, 18, [2.25, 1, 6, 6]),
            thing(5, 3, [4, 4, 0.0, 3]),
            thing(11, 3, [4, 4, 0.0, 3]),
        ],
    )
    made.write("val", [1, 2], [thing(2, 3, [0, 0, 40, 30])])
    return made


def by_id(manifest):
    return {record.image_id: record for record in manifest.records}


def test_tags_splits_and_order(tree):
    found = coco.read(str(tree.root))
    assert found.name == "coco2014"
    assert found.classes == ("cat", "dog")  # by category id
    assert [(r.image_id, r.split, r.labels) for r in found.records] == [
        ("7", "train", (0, 1)),
        ("5", "train", (1, 1)),
        ("11", "train", (1, 0)),
        ("2", "test", (1, 0)),
    ]
    record = by_id(found)["5"]
    assert record.path == f"{tree.root}/train2014/000000000005.jpg"
    assert record.source == f"{tree.root}/annotations/instances_train2014.json: image 5"


def test_convention_boxes_end_at_left_plus_width_and_crowds_are_difficult(tree):
    records = by_id(coco.read(str(tree.root)))
    assert records["5"].boxes == (
        TrueBox(0, (0.0, 0.0, 10.5, 4.0), False),
        TrueBox(1, (2.25, 1.0, 8.25, 7.0), False),
    )
    assert records["7"].boxes == (TrueBox(1, (1.0, 2.0, 4.0, 6.0), True),)
    assert records["11"].boxes == ()  # its only box has no area: a tag, not a box
    assert "train: 2 boxes without area count as tags only" in coco.read(str(tree.root)).notes


def test_unlabelled_images_are_dropped_unless_asked_for(tree):
    assert not {"9", "1"} & by_id(coco.read(str(tree.root))).keys()
    kept = coco.read(f"{tree.root},unlabelled=keep")
    assert by_id(kept)["9"].labels == (0, 0)
    assert len(kept) == 6
    dropped = coco.read(f"{tree.root},unlabelled=drop")
    assert any("1 of 4 images show no annotated object" in note for note in dropped.notes)


@pytest.mark.parametrize("last", ["images", "annotations", "categories", "info"])
def test_sections_may_come_in_any_order(tree, last):
    before = coco.read(str(tree.root)).records
    content = json.loads((tree.root / "annotations/instances_train2014.json").read_text())
    content[last] = content.pop(last)
    (tree.root / "annotations/instances_train2014.json").write_text(json.dumps(content, indent=1))
    assert coco.read(str(tree.root)).records == before


def test_two_editions_need_a_year(tree):
    later = CocoTree(tree.root, "2017")
    later.write("train", [3], [thing(3, 3, [0, 0, 2, 2])])
    with pytest.raises(DataError, match=r"2014 and 2017.*\n.*year=2014"):
        coco.read(str(tree.root))
    found = coco.read(f"{tree.root},year=2017")
    assert (found.name, found.image_ids, found.split_names) == ("coco2017", ("3",), ("train",))
    assert any("no annotations of test images: the split is train" in n for n in found.notes)
    assert len(coco.read(f"{tree.root},year=2014")) == 4


def test_test_images_are_drawn_where_there_are_none(tmp_path):
    tree = CocoTree(tmp_path / "coco")
    ids = range(1, 41)
    tree.write("train", ids, [thing(n, 3, [0, 0, 2, 2]) for n in ids])
    found = coco.read(f"{tree.root},test=25%")
    assert set(found.split_names) == {"train", "test"}
    assert "25 % of the training images are the test part, by a hash of the path" in found.notes


def test_images_below_a_folder_of_their_own_and_annotations_beside(tree):
    (tree.root / "images").mkdir()
    for name in ("train2014", "val2014"):
        (tree.root / name).rename(tree.root / "images" / name)
    for path in (tree.root / "annotations").iterdir():
        path.rename(tree.root / path.name)
    found = coco.read(str(tree.root))
    assert by_id(found)["2"].path == f"{tree.root}/images/val2014/000000000002.jpg"
    assert found.fingerprint


def test_missing_images_are_named_or_left_out(tree):
    (tree.root / "train2014" / "000000000005.jpg").unlink()
    with pytest.raises(DataError, match=r"1 of 4 image files are missing:\n.*image 5: .*5\.jpg"):
        coco.read(str(tree.root))
    found = coco.read(f"{tree.root},missing=drop")
    assert found.image_ids == ("7", "11", "2")
    assert any("1 of 4 image files are missing and left out" in note for note in found.notes)
    for path in tree.root.glob("*2014/*.jpg"):
        path.unlink()
    with pytest.raises(DataError, match="4 of 4 image files"):
        coco.read(f"{tree.root},missing=drop")


@pytest.mark.parametrize(
    ("annotation", "told"),
    [
        ({"bbox": [1, 2, 3]}, r"entry 1 of 'annotations' \(id 9\): expected bbox as \[left"),
        ({"bbox": [1, 2, -3, 4]}, "expected bbox as"),
        ({"bbox": ["1", 2, 3, 4]}, "expected bbox as"),
        ({"image_id": 5.5}, "expected image_id as a number or a text, found 5.5"),
        ({"image_id": ""}, "expected image_id as a number or a text, found ''"),
        ({"image_id": 2**70}, "broken JSON after entry 1 .*integer overflow"),
        ({"image_id": 6}, "annotation 1: there is no image with id 6"),
        ({"category_id": 4}, "annotation 1: there is no category with id 4"),
        ({"category_id": None}, "expected category_id as a number or a text, found nothing"),
        ({"iscrowd": 2}, "expected iscrowd as 0 or 1, found 2"),
    ],
)
def test_bad_annotations_are_named(tree, annotation, told):
    good = {"id": 9, "image_id": 5, "category_id": 3, "bbox": [1, 2, 3, 4], "iscrowd": 0}
    tree.write("train", [5], [good])
    assert len(coco.read(str(tree.root)).split("train")) == 1
    tree.write("train", [5], [good | annotation])
    with pytest.raises(DataError, match=told):
        coco.read(str(tree.root))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"categories": []}, "expected a list 'categories' with entries, found none"),
        ({"images": {"id": 1}}, "expected a list 'images' with entries"),
        ({"images": [3]}, "expected objects in the list 'images', found 3"),
        ({"images": [{"id": 5, "file_name": ""}]}, "expected file_name as a text, found ''"),
        ({"categories": [*CATEGORIES, {"id": 3, "name": "x"}]}, "expected each id once, found '3'"),
    ],
)
def test_bad_sections_are_named(tree, changes, told):
    tree.write("train", [5], [], **changes)
    with pytest.raises(DataError, match=told):
        coco.read(str(tree.root))


def test_categories_are_known_by_name_and_told_where_a_file_lacks_one(tree):
    other = [{"id": 1, "name": "cat"}]
    tree.write("val", [2], [thing(2, 1, [0, 0, 4, 3])], categories=other)
    found = coco.read(str(tree.root))
    assert found.classes == ("cat", "dog")
    assert by_id(found)["2"].labels == (1, 0)
    assert "instances_val2014.json lacks the categories dog" in found.notes


@pytest.mark.parametrize("cut", [0, 1, 300])
def test_a_file_cut_off(tree, cut):
    path = tree.root / "annotations/instances_train2014.json"
    path.write_bytes(path.read_bytes()[:cut] if cut < 300 else path.read_bytes()[:-cut])
    with pytest.raises(DataError, match=r"train2014\.json: broken JSON .*\n.*fetch it again"):
        coco.read(str(tree.root))


@pytest.mark.parametrize(
    ("location", "told"),
    [
        ("nowhere", "expected a folder with COCO's annotations at .*nowhere, found nothing"),
        ("", r"expected annotations/instances_train2014\.json in"),
        ("coco,year=2015", "expected coco: year as 2014 or 2017, found '2015'"),
        ("coco,year=2017", r"instances_train2017\.json in .*, found instances_train2014\.json, in"),
        ("coco,unlabeled=keep", "unknown coco: option 'unlabeled'. Did you mean 'unlabelled'"),
        ("coco,missing=drop,missing=drop", "missing once, found it twice"),
    ],
)
def test_bad_locations(tree, location, told):
    with pytest.raises(DataError, match=told):
        coco.read(str(tree.root.parent / location))


class TestOtherPrograms:
    """Files as Roboflow, CVAT, Label Studio and FiftyOne write them."""

    def content(self, images, annotations, categories=CATEGORIES):
        entries = [{"id": key, "file_name": name} for key, name in images.items()]
        return json.dumps({"images": entries, "annotations": annotations, "categories": categories})

    def tags(self, manifest):
        return [(r.image_id, r.split, r.labels) for r in manifest.records]

    def test_roboflow(self, tmp_path):
        categories = [
            {"id": 0, "name": "animals", "supercategory": "none"},
            {"id": 1, "name": "cat", "supercategory": "animals"},
            {"id": 2, "name": "dog", "supercategory": "animals"},
        ]
        for number, split in enumerate(("train", "valid", "test")):
            (tmp_path / split).mkdir()
            (tmp_path / split / f"{number}.jpg").touch()
            annotation = {
                "id": 0,
                "image_id": 0,
                "category_id": 1 + number % 2,
                "bbox": [0, 0, 2, 2],
            }
            (tmp_path / split / "_annotations.coco.json").write_text(
                self.content({0: f"{number}.jpg"}, [annotation], categories)
            )
        found = coco.read(str(tmp_path))
        assert found.classes == ("cat", "dog")
        assert "categories that only group others are left out: animals" in found.notes
        assert self.tags(found) == [
            ("train/0", "train", (1, 0)), ("val/0", "val", (0, 1)), ("test/0", "test", (1, 0)),
        ]  # fmt: skip
        assert found.records[1].path == f"{tmp_path}/valid/1.jpg"
        assert any("1 image ids stand in several files" in note for note in found.notes)

    def test_cvat(self, tmp_path):
        (tmp_path / "images").mkdir()
        (tmp_path / "annotations").mkdir()
        for n in range(40):
            (tmp_path / "images" / f"{n}.jpg").touch()
        annotations = [
            {"id": n, "image_id": n, "category_id": 3, "bbox": [0, 0, 1, 1], "iscrowd": False}
            for n in range(40)
        ]
        (tmp_path / "annotations" / "instances_default.json").write_text(
            self.content({n: f"{n}.jpg" for n in range(40)}, annotations)
        )
        found = coco.read(str(tmp_path))
        assert set(found.split_names) == {"train", "test"}
        assert any("80 % train and 20 % test" in note for note in found.notes)
        assert found.records[0].path == f"{tmp_path}/images/0.jpg"

    @pytest.mark.parametrize("box", [{}, {"bbox": []}, {"bbox": None}])
    def test_tags_without_boxes(self, tmp_path, box):
        for name in ("a.jpg", "b.jpg"):
            (tmp_path / name).touch()
        for name in ("a", "b"):
            annotation = {"id": "x", "image_id": "one", "category_id": "18", "iscrowd": True} | box
            (tmp_path / f"{name}.json").write_text(
                self.content({"one": f"{name}.jpg"}, [annotation])
            )
        found = coco.read(f"{tmp_path}/a.json,test={tmp_path}/b.json")
        assert self.tags(found) == [("train/one", "train", (0, 1)), ("test/one", "test", (0, 1))]
        assert not found.has_boxes
        assert "train: 1 objects without a box count as tags only" in found.notes
        assert coco.read(f"{tmp_path}/a.json,test=b.json").records == found.records

    @pytest.mark.parametrize("start", ["/home/other/photos/", "C:\\\\data\\\\", "images/deep/"])
    def test_file_names_of_another_machine(self, tmp_path, start):
        (tmp_path / "a.jpg").touch()
        annotation = {"id": 1, "image_id": 1, "category_id": 3}
        (tmp_path / "x.json").write_text(self.content({1: f"{start}a.jpg"}, [annotation]))
        spec = f"{tmp_path}/x.json,test={tmp_path}/x.json"
        (record,) = coco.read(spec).split("train").records
        assert record.path == f"{tmp_path}/a.jpg"

    def test_an_absolute_name_is_allowed_as_the_hint_says(self, tmp_path):
        (tmp_path / "data").mkdir()
        (tmp_path / "elsewhere.jpg").touch()
        path = tmp_path / "data" / "instances_train.json"
        annotation = {"id": 1, "image_id": 1, "category_id": 3}
        path.write_text(self.content({1: f"{tmp_path}/elsewhere.jpg"}, [annotation]))
        with pytest.raises(DataError, match="expected an image inside") as no:
            coco.read(f"{tmp_path}/data")
        spec = no.value.hint.rpartition(" ")[2].removeprefix("coco:")
        assert coco.read(spec).records[0].path == f"{tmp_path}/elsewhere.jpg"

    def test_a_file_in_the_folder_of_each_split(self, tmp_path):
        for split in ("train", "valid"):
            (tmp_path / split / "data").mkdir(parents=True)
            (tmp_path / split / "data" / f"{split}.jpg").touch()
            content = self.content({1: f"{split}.jpg"}, [])
            (tmp_path / split / "labels.json").write_text(content)
        found = coco.read(str(tmp_path))
        assert [(r.path, r.split, r.labels) for r in found.records] == [
            (f"{tmp_path}/train/data/train.jpg", "train", (0, 0)),  # kept: no edition of MS-COCO
            (f"{tmp_path}/valid/data/valid.jpg", "test", (0, 0)),
        ]
        with pytest.raises(DataError, match="none of 2 images shows an annotated object"):
            coco.read(f"{tmp_path},unlabelled=drop")

    def test_a_folder_of_files_that_may_be_either(self, tmp_path):
        for name in ("one", "two"):
            (tmp_path / f"{name}.json").write_text("{}")
        with pytest.raises(DataError, match=r"one\.json and two\.json may both be") as no:
            coco.read(str(tmp_path))
        assert f"coco:{tmp_path}/one.json,test={tmp_path}/two.json" in no.value.hint
