import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest

from boxless.data import coco
from boxless.data.check import check_manifest
from boxless.data.coco_json import read_instances
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
    assert "no instances_val2017.json: the split is train" in found.notes
    assert len(coco.read(f"{tree.root},year=2014")) == 4


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
        ({"bbox": None}, "expected bbox as"),
        ({"image_id": "5"}, "expected image_id as a whole number, found '5'"),
        ({"image_id": 2**70}, "broken JSON after entry 1 .*integer overflow"),
        ({"image_id": 6}, "annotation 1: there is no image with id 6"),
        ({"category_id": 4}, "annotation 1: there is no category with id 4"),
        ({"category_id": None}, "expected category_id as a whole number, found nothing"),
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
        ({"categories": [*CATEGORIES, {"id": 3, "name": "x"}]}, "expected each id once, found 3"),
    ],
)
def test_bad_sections_are_named(tree, changes, told):
    tree.write("train", [5], [], **changes)
    with pytest.raises(DataError, match=told):
        coco.read(str(tree.root))


def test_validation_categories_must_be_the_same(tree):
    tree.write("val", [2], [], categories=CATEGORIES[:1])
    with pytest.raises(DataError, match=r"val2014\.json: its categories differ"):
        coco.read(str(tree.root))


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


@pytest.fixture(scope="module")
def mini(data_root):
    return data_root / "coco-mini" / "coco"


class TestRealImages:
    def test_counts(self, mini):
        found = coco.read(str(mini))
        assert (len(found.split("train")), len(found.split("test"))) == (255, 250)
        kept = coco.read(f"{mini},unlabelled=keep")
        assert (len(kept.split("train")), len(kept.split("test"))) == (258, 252)
        assert len(found.classes) == 80
        assert (found.classes[0], found.classes[-1]) == ("person", "toothbrush")
        assert check_manifest(found, images=False).disagreements == ()

    @pytest.mark.parametrize(("name", "split"), [("train2017", "train"), ("val2017", "test")])
    def test_reference_pycocotools_sees_the_same_tags_and_boxes(self, mini, name, split):
        from pycocotools.coco import COCO

        with contextlib.redirect_stdout(io.StringIO()):
            reference = COCO(str(mini / "annotations" / f"instances_{name}.json"))
        records = by_id(coco.read(f"{mini},unlabelled=keep").split(split))
        category_ids = sorted(reference.getCatIds())
        classes = tuple(c["name"] for c in reference.loadCats(category_ids))
        assert classes == coco.read(str(mini)).classes
        assert records.keys() == {str(key) for key in reference.getImgIds()}
        boxes = 0
        for image_id in reference.getImgIds():
            record = records[str(image_id)]
            annotations = reference.loadAnns(reference.getAnnIds(imgIds=[image_id]))
            present = {annotation["category_id"] for annotation in annotations}
            assert record.labels == tuple(int(key in present) for key in category_ids)
            assert [(category_ids[box.label], box.difficult, box.xyxy) for box in record.boxes] == [
                (a["category_id"], a["iscrowd"] == 1, (x, y, x + w, y + h))
                for a in annotations
                for x, y, w, h in [a["bbox"]]
            ]
            assert Path(record.path).name == reference.imgs[image_id]["file_name"]
            boxes += len(annotations)
        assert boxes > 1800

    def test_the_file_is_not_held_while_it_is_read(self, mini, tmp_path):
        """Outlines of objects, most of a real file, leave no trace in memory."""
        import tracemalloc

        content = json.loads((mini / "annotations/instances_val2017.json").read_text())
        content["annotations"] = content["annotations"][:200]
        for annotation in content["annotations"]:
            annotation["segmentation"] = {"counts": "x" * 20_000}
        path = tmp_path / "instances_val2017.json"
        path.write_text(json.dumps(content))
        tracemalloc.start()
        found = read_instances(path)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        size = path.stat().st_size
        assert len(found.image_ids) == len(content["annotations"])
        assert size > 4_000_000
        assert peak < size / 4
        assert np.asarray(found.boxes).size == 4 * len(found.image_ids)
