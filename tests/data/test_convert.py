import shutil

import numpy as np
import pytest
from PIL import Image

from boxless.data.convert import convert
from boxless.data.images import load_image
from boxless.data.sources import load_manifest
from boxless.errors import DataError, RunError


def test_voc_to_table_keeps_tags_splits_and_files(voc_tree, tmp_path):
    before = load_manifest(f"voc:{voc_tree.root}")
    table = tmp_path / "tables" / "voc.csv"
    convert(before, table)
    after = load_manifest(f"csv:{table}")
    assert after.classes == before.classes
    assert (after.labels == before.labels).all()
    assert [r.split for r in after.records] == [r.split for r in before.records]
    assert [r.path for r in after.records] == [r.path for r in before.records]
    assert not after.has_boxes
    assert str(tmp_path) not in table.read_text()


def test_table_and_images_move_together(voc_tree, tmp_path):
    table = voc_tree.root / "tags.csv"
    convert(load_manifest(f"voc:{voc_tree.root}"), table)
    before = load_manifest(f"csv:{table}")
    moved = tmp_path / "moved"
    shutil.move(voc_tree.root, moved)
    after = load_manifest(f"csv:{moved}/tags.csv")
    assert after.fingerprint
    assert after.image_ids == before.image_ids


def test_scenes_become_png_files(tmp_path):
    scenes = load_manifest("scenes:train=3,test=2,size=64")
    done = []
    folder = tmp_path / "images"
    convert(scenes, tmp_path / "t.csv", images=folder, on_done=lambda: done.append(1))
    after = load_manifest(f"csv:{tmp_path}/t.csv")
    assert len(done) == 5
    assert sorted(p.name for p in folder.iterdir()) == sorted(f"{i}.png" for i in scenes.image_ids)
    assert after.image_ids[0] == "images/train-00000.png"
    for drawn, read in zip(scenes.records, after.records, strict=True):
        assert (load_image(drawn.path) == np.asarray(Image.open(read.path))).all()
        assert drawn.labels == read.labels
        assert drawn.split == read.split


def test_images_folder_is_for_scenes_and_only_them(voc_tree, tmp_path):
    with pytest.raises(DataError, match="--images DIR"):
        convert(load_manifest("scenes:train=1,test=1"), tmp_path / "t.csv")
    with pytest.raises(DataError, match="leave --images out"):
        convert(load_manifest(f"voc:{voc_tree.root}"), tmp_path / "t.csv", images=tmp_path / "i")
    assert not (tmp_path / "t.csv").exists()


def test_unwritable_place(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="cannot write"):
        convert(
            load_manifest("scenes:train=1,test=1,size=48"),
            tmp_path / "t.csv",
            images=tmp_path / "file",
        )


TABLE = "path,split,cat,dog\na.png,train,1,0\nb.png,train,-1,1\nc.png,test,0,0\n"


def test_coco_annotations_of_tags_alone(csv_file, tmp_path):
    manifest = load_manifest(f"csv:{csv_file(TABLE)}")
    notes = convert(manifest.split("train"), tmp_path / "x" / "train.json", to="coco")
    assert notes == ("1 unknown labels are written as absent: COCO has no word for them",)
    spec = f"coco:{tmp_path}/x/train.json,test={tmp_path}/x/train.json,outside=allow"
    back = load_manifest(spec)
    assert back.classes == ("cat", "dog")
    assert back.split("train").labels.tolist() == [[1, 0], [0, 1]]
    assert back.records[0].path == manifest.records[0].path
    assert not back.has_boxes


def test_coco_annotations_keep_boxes(voc_tree, tmp_path):
    before = load_manifest(f"voc:{voc_tree.root}").split("train")
    out = voc_tree.root / "train.json"
    notes = convert(before, out, to="coco")
    assert len(notes) == 1
    after = load_manifest(f"coco:{out},test={out},unlabelled=keep").split("train")
    assert [r.boxes for r in after.records] == [r.boxes for r in before.records]
    assert [r.path for r in after.records] == [r.path for r in before.records]


def test_an_image_folder(csv_file, tmp_path):
    out = tmp_path / "hf"
    manifest = load_manifest(f"csv:{csv_file(TABLE)}")
    notes = convert(manifest, out, to="image-folder")
    assert notes == ("1 unknown labels are written as absent: lists of tags cannot say unknown",)
    assert (out / "train" / "000000-a.png").read_bytes() == (tmp_path / "a.png").read_bytes()
    back = load_manifest(f"folder:{out}")
    assert back.classes == ("cat", "dog")
    assert sorted((r.split, r.labels) for r in back.records) == [
        ("test", (0, 0)), ("train", (0, 1)), ("train", (1, 0)),
    ]  # fmt: skip


def test_an_image_folder_stays_in_its_folder(csv_file, tmp_path):
    table = csv_file("path,split,cat\na.png,train,1\nb.png,../x,0\n")
    with pytest.raises(DataError, match=r"split '\.\./x' cannot name a folder"):
        convert(load_manifest(f"csv:{table}"), tmp_path / "hf", to="image-folder")
