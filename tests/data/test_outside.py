"""Names in downloaded lists cannot lead out of the folder of the images."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxless.data.image_places import ImagePlaces
from boxless.data.options import Options
from boxless.data.sources import load_manifest
from boxless.errors import DataError

HOSTILE = ("/etc/passwd", "../secret.jpg", "a/../../secret.jpg", "..\\secret.jpg", "C:\\x.jpg",
           "C:/x.jpg", "~/x.jpg", "a/\0.jpg", "..", "x/../..")  # fmt: skip


FOLDER = Path("/root/images")


def check(name, *, allow=False):
    options = Options("coco", {"outside": "allow"} if allow else {})
    places = ImagePlaces([FOLDER, FOLDER], options, spec="coco:DIR,outside=allow")
    return places.locate(name, "list.txt:3")


@pytest.mark.parametrize("name", HOSTILE)
def test_refused(name):
    with pytest.raises(DataError, match=r"list\.txt:3: expected an image inside") as caught:
        check(name)
    assert "outside=allow" in caught.value.hint
    check(name, allow=True)


@pytest.mark.parametrize("name", ["a.jpg", "b/c.jpg", "./a.jpg", "b/../a.jpg", "..a.jpg", "a..jpg"])
def test_passes(name):
    check(name)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(["..", ".", "a", "b.jpg", "", "\\", "~", "C:"]), max_size=6))
def test_what_passes_stays_inside(parts):
    name = "/".join(parts)
    try:
        place = os.path.normpath(check(name))
    except DataError:
        return
    assert place == "/root/images" or place.startswith("/root/images/")


def coco(folder, name):
    (folder / "annotations").mkdir()
    (folder / "train2017").mkdir()
    (folder / "secret.jpg").write_bytes(b"x")
    facts = {
        "images": [{"id": 1, "file_name": name}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 2, 2]}],
    }
    (folder / "annotations" / "instances_train2017.json").write_text(json.dumps(facts))
    return f"coco:{folder}"


def test_coco(tmp_path):
    spec = coco(tmp_path, "../secret.jpg")
    with pytest.raises(
        DataError, match=r"instances_train2017\.json: image 1: expected an image in"
    ):
        load_manifest(spec)
    (record,) = load_manifest(f"{spec},outside=allow").records
    assert record.path.endswith("secret.jpg")


def test_nus_wide(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "secret.jpg").write_bytes(b"x")
    for split in ("train", "test"):
        (tmp_path / f"{split}.txt").write_text(f"../{split}.jpg " + "1 " * 81 + "\n")
    with pytest.raises(DataError, match=r"train\.txt:1: expected an image inside"):
        load_manifest(f"nus-wide:{tmp_path}")
