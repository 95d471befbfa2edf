from pathlib import Path

import pytest
from PIL import Image

from boxless.data.manifest import Manifest
from boxless.data.untagged import UNTAGGED, join_untagged, read_untagged
from boxless.errors import DataError
from boxless.types import ImageRecord, TrueBox


def save_image(path, *, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (seed, 0, 0)).save(path)
    return path


@pytest.fixture
def photos(tmp_path):
    """Three pictures in two folders, beside files that are none."""
    folder = tmp_path / "my, photos"
    for seed, name in enumerate(("b.png", "a.jpg", "deep/er/c.JPG")):
        save_image(folder / name, seed=seed)
    (folder / "notes.txt").write_text("no picture")
    (folder / ".hidden.jpg").write_bytes(b"")
    return folder


def tagged(*paths, split="train"):
    records = (
        ImageRecord(f"t{n}", str(path), split, (1, 0), (TrueBox(0, (0, 0, 1, 1)),), "here:1")
        for n, path in enumerate(paths)
    )
    return Manifest("some", ("x", "y"), tuple(records))


def test_a_folder_is_searched_to_the_bottom(photos):
    found = read_untagged(str(photos))
    assert [r.image_id for r in found] == [
        "untagged/a.jpg", "untagged/b.png", "untagged/deep/er/c.JPG",
    ]  # fmt: skip
    assert all(photos / r.image_id.removeprefix("untagged/") == Path(r.path) for r in found)
    assert {(r.split, r.labels, r.boxes) for r in found} == {(UNTAGGED, (), None)}


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*.jpg", ["a.jpg"]),
        ("**/*.[jJ][pP][gG]", ["a.jpg", "deep/er/c.JPG"]),
        ("deep/e?/*", ["er/c.JPG"]),
    ],
)
def test_a_pattern_names_images_from_its_first_wildcard(photos, pattern, names):
    found = read_untagged(f"{photos}/{pattern}")
    assert [r.image_id for r in found] == [f"untagged/{name}" for name in names]


def test_a_relative_folder_gives_absolute_paths(photos, monkeypatch):
    monkeypatch.chdir(photos.parent)
    assert read_untagged(photos.name)[0].path == str(photos / "a.jpg")


@pytest.mark.parametrize(
    ("spec", "names"),
    [
        ("memory://pool", ["a.jpg", "d/b.png"]),
        ("memory://pool/", ["a.jpg", "d/b.png"]),
        ("memory://pool/**/*.png", ["d/b.png"]),
    ],
)
def test_images_in_a_store(spec, names):
    store = pytest.importorskip("fsspec").filesystem("memory")
    for name in ("a.jpg", "d/b.png", "notes.txt"):
        store.pipe(f"/pool/{name}", b"content")
    found = read_untagged(spec)
    assert [r.image_id for r in found] == [f"untagged/{name}" for name in names]
    assert [r.path for r in found] == [f"memory://pool/{name}" for name in names]


def test_a_data_set_gives_its_images_without_their_tags(voc_tree):
    found = read_untagged(f"voc:{voc_tree.root}")
    assert [r.image_id for r in found] == [f"untagged/{n}" for n in "1234"]
    assert {(r.split, r.labels, r.boxes) for r in found} == {(UNTAGGED, (), None)}


def test_splits_of_a_data_set_are_chosen_at_its_end(voc_tree):
    spec = f"voc:{voc_tree.root},splits="
    assert [r.image_id for r in read_untagged(f"{spec}test")] == ["untagged/4"]
    assert len(read_untagged(f"{spec}train+test")) == 4
    with pytest.raises(DataError, match=r"unknown split 'tset'\. Did you mean 'test'"):
        read_untagged(f"{spec}train+tset")


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("", "folder, a pattern or a data set, found ''"),
        ("{0}/gone", "folder, a pattern or a data set, found"),
        ("{0}/a.jpg", "folder, a pattern or a data set, found"),
        ("{0}/*.webp", "no image matches"),
        ("{0}/empty", "no image in this folder"),
        ("voc:{0}", "ImageSets/Main"),
    ],
)
def test_what_holds_no_images_is_refused(photos, spec, told):
    (photos / "empty").mkdir()
    with pytest.raises(DataError, match=told):
        read_untagged(spec.format(photos))


def test_untagged_images_stand_behind_the_tagged_ones_and_know_nothing(photos, tmp_path):
    own = tagged(save_image(tmp_path / "own.png", seed=9))
    joined = join_untagged(own, read_untagged(str(photos)))
    assert joined.records[:1] == own.records
    assert joined.classes == own.classes
    assert joined.split("train").records == own.records
    rest = joined.split(UNTAGGED)
    assert rest.labels.tolist() == [[-1, -1]] * 3
    assert all(record.boxes is None for record in rest.records)
    assert joined.fingerprint != own.fingerprint
    assert "3 untagged images" in joined.notes


def test_labels_and_boxes_of_given_records_are_hidden(tmp_path):
    own = tagged(save_image(tmp_path / "own.png"))
    other = tagged(save_image(tmp_path / "other.png", seed=1)).records[0]
    joined = join_untagged(own, [ImageRecord("other", other.path, "train", (1, 1), other.boxes)])
    assert joined.records[1] == ImageRecord("other", other.path, UNTAGGED, (-1, -1))


def test_files_of_the_data_set_itself_stay_where_they_are(photos, tmp_path):
    link = tmp_path / "link.jpg"
    link.symlink_to(photos / "a.jpg")
    own = tagged(link, photos / "b.png", split="test")
    joined = join_untagged(own, read_untagged(str(photos)))
    assert [r.image_id for r in joined.split(UNTAGGED).records] == ["untagged/deep/er/c.JPG"]
    assert any(note.startswith("2 untagged images are left out") for note in joined.notes)


def test_a_file_named_twice_is_taken_once_and_in_order(photos, tmp_path):
    own = tagged(save_image(tmp_path / "own.png", seed=9))
    once = read_untagged(str(photos))
    twice = [*once, *(ImageRecord(f"again{n}", r.path, "x", ()) for n, r in enumerate(once))]
    joined = join_untagged(own, twice)
    assert joined.split(UNTAGGED).image_ids == tuple(r.image_id for r in once)
    assert any(note.startswith("3 untagged images are left out") for note in joined.notes)


def test_nothing_left_or_a_split_of_that_name_is_refused(photos):
    found = read_untagged(str(photos))
    paths = [record.path for record in found]
    with pytest.raises(DataError, match=r"found 3, all of them images of the data set itself"):
        join_untagged(tagged(*paths), found)
    with pytest.raises(DataError, match="no split of the name 'untagged'"):
        join_untagged(tagged(paths[0], split=UNTAGGED), found)


def test_scenes_can_be_untagged_and_are_known_by_their_recipe():
    from boxless.data.sources import load_manifest

    own = load_manifest("scenes:train=3,test=1")
    joined = join_untagged(own, read_untagged("scenes:train=5,test=1,splits=train"))
    assert joined.split(UNTAGGED).image_ids == ("untagged/train-00003", "untagged/train-00004")
