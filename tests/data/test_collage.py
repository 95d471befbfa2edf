from collections import Counter

import numpy as np
import pytest
from PIL import Image

from boxless.data.images import load_image
from boxless.data.sources import load_manifest
from boxless.errors import DataError

COLORS = {"1": (250, 0, 0), "2": (0, 250, 0), "3": (0, 0, 250), "4": (250, 250, 0)}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BOXLESS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def colors(tmp_path, new_voc_tree):
    """Four photographs of one color each, 40 x 20, with a box each; of two classes."""
    tree = new_voc_tree(tmp_path / "VOC2007")
    tree.image("1", ("cat", 0, (1, 1, 20, 10)))
    tree.image("2", ("dog", 1, (1, 1, 40, 20)))
    tree.image("3")
    tree.image("4", ("cat", 1, (21, 11, 40, 20)))
    for name, color in COLORS.items():
        Image.new("RGB", (40, 20), color).save(tree.root / "JPEGImages" / f"{name}.jpg")
    tree.split("trainval", "1", "2", "3", "4")
    return f"voc:{tree.root}"


def tiles(record):
    return record.source.removeprefix("collage of ").split(", ")


def test_pixels_tags_and_boxes(colors):
    made = load_manifest(f"collage:{colors},grid=2,size=32")
    (record,) = made.records
    pixels = load_image(record.path)
    assert pixels.shape == (64, 64, 3)
    assert sorted(tiles(record)) == ["1", "2", "3", "4"]
    boxes = {}
    for place, name in enumerate(tiles(record)):
        y, x = 32 * (place // 2), 32 * (place % 2)
        middle = pixels[y + 4 : y + 28, x + 4 : x + 28].reshape(-1, 3)
        assert np.abs(middle - np.array(COLORS[name])).max() <= 8
        boxes[name] = (x, y)
    assert dict(zip(made.classes, record.labels, strict=True)) == {"cat": 1, "dog": -1}
    found = {(box.label, box.difficult): box.xyxy for box in record.boxes}
    (x1, y1), (x2, y2), (x4, y4) = boxes["1"], boxes["2"], boxes["4"]
    assert found[0, False] == pytest.approx((x1, y1, x1 + 16, y1 + 16))
    assert found[1, True] == pytest.approx((x2, y2, x2 + 32, y2 + 32))
    assert found[0, True] == pytest.approx((x4 + 16, y4 + 16, x4 + 32, y4 + 32))


def test_images_without_boxes_make_collages_without(csv_file):
    table = csv_file("path,labels,split\na.png,x,train\nb.png,y,train\nc.png,x,train\n")
    Image.new("RGB", (24, 16), "red").save(table.parent / "d.png")
    table.write_text(table.read_text() + "d.png,,train\n")
    (record,) = load_manifest(f"collage:csv:{table},grid=2,size=16").records
    assert record.boxes is None
    assert record.labels == (1, 1)


SCENES = "scenes:train=21,test=9,size=48"


def test_splits_never_mix_and_each_image_stands_on_one_collage():
    base = {r.image_id: r.split for r in load_manifest(SCENES).records}
    made = load_manifest(f"collage:{SCENES},grid=2,size=16")
    assert {name: len(made.split(name)) for name in made.split_names} == {"train": 5, "test": 2}
    for record in made.records:
        assert {base[name] for name in tiles(record)} == {record.split}
    assert max(Counter(name for r in made.records for name in tiles(r)).values()) == 1


def test_repeated_images_stay_within_their_group():
    made = load_manifest(f"collage:{SCENES},grid=2,size=16,repeat=3")
    groups = {}
    for record in made.records:
        for name in tiles(record):
            groups.setdefault(name, set()).add(record.group)
    assert all(len(found) == 1 for found in groups.values())
    counts = Counter(name for r in made.records for name in tiles(r))
    assert max(counts.values()) <= 3
    assert len(counts) == 30  # who is left over in one round stands in another
    train = made.split("train")
    folds = train.folds(2, seed=0)
    parts = [
        {
            name
            for r, fold in zip(train.records, folds, strict=True)
            if fold == f
            for name in tiles(r)
        }
        for f in range(2)
    ]
    assert not parts[0] & parts[1]


def test_three_by_three():
    made = load_manifest(f"collage:{SCENES},grid=3,size=16")
    assert load_image(made.records[0].path).shape == (48, 48, 3)
    assert len(made) == 3


def test_what_is_there_is_not_made_again_and_the_seed_counts(cache):
    spec = f"collage:{SCENES},grid=2,size=16"
    first = load_manifest(spec)
    stamps = {path: path.stat().st_mtime_ns for path in cache.rglob("*.jpg")}
    assert len(stamps) == len(first)
    again = load_manifest(f"{spec},seed=0")
    assert again.records == first.records
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*.jpg")} == stamps
    other = load_manifest(f"{spec},seed=1")
    assert [tiles(r) for r in other.records] != [tiles(r) for r in first.records]
    assert not {r.path for r in other.records} & {r.path for r in first.records}


def test_a_folder_may_be_named(tmp_path):
    made = load_manifest(f"collage:{SCENES},grid=2,size=16,out={tmp_path / 'mine'}")
    assert all(record.path.startswith(f"{tmp_path / 'mine'}/") for record in made.records)
    elsewhere = load_manifest(f"collage:{SCENES},grid=2,size=16")
    assert elsewhere.fingerprint == made.fingerprint


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (f"collage:{SCENES}", "such as collage:voc:DIR,grid=2"),
        (f"collage:{SCENES},grid=1", "grid as a whole number from 2"),
        (
            f"collage:{SCENES},grid=2,siez=9",
            "collage: option 'siez'.* Did you mean 'size'",
        ),
        (f"collage:{SCENES},grid=2,repeat=0", "repeat as a whole number from 1"),
        (f"collage:{SCENES},grid=4", "at least 16 images of split 'test' for a collage, found 9"),
        ("collage:vco:x,grid=2", r"unknown data format 'vco'\. Did you mean 'voc'"),
        ("collage:", "a path after 'collage:'"),
    ],
)
def test_wrong_options_are_refused(spec, told):
    with pytest.raises(DataError, match=told):
        load_manifest(spec)


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_photograph_in_two_splits_is_refused(csv_file, split):
    table = csv_file(f"path,labels,split\na.png,x,train\nb.png,x,{split}\nc.png,x,test\n")
    (table.parent / "c.png").write_bytes((table.parent / "b.png").read_bytes())
    told = rf"1 image\(s\) stand in '{split}' and in 'test'.*b\.png"
    with pytest.raises(DataError, match=told):
        load_manifest(f"collage:csv:{table},grid=2")
