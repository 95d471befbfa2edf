"""The same bytes in two splits are found whatever the files are called."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxless.data.leaks import shared_images
from boxless.types import ImageRecord


def record(path, split="train"):
    return ImageRecord(str(path), str(path), split, (1,), None, f"list:{path}")


def write(folder, contents):
    folder.mkdir(parents=True)
    found = []
    for number, content in enumerate(contents):
        path = folder / f"{number}.jpg"
        path.write_bytes(content)
        found.append(record(path))
    return found


def names(pairs):
    return [(one.path[-7:], two.path[-7:]) for one, two in pairs]


def test_copies_under_other_names(tmp_path):
    one = write(tmp_path / "a", [b"cat" * 9000, b"dog" * 9000, b"", b"x"])
    other = write(tmp_path / "b", [b"cow" * 9000, b"dog" * 9000, b"dog" * 9000, b"y"])
    assert names(shared_images(one, other)) == [("a/1.jpg", "b/1.jpg"), ("a/1.jpg", "b/2.jpg")]


def test_same_end_and_size_but_another_beginning(tmp_path):
    tail = bytes(8192)
    assert not shared_images(
        write(tmp_path / "a", [b"1" + tail]), write(tmp_path / "b", [b"2" + tail])
    )


def test_missing_files_are_nobodys_copy(tmp_path):
    gone = [record(tmp_path / "gone.jpg")]
    assert shared_images(gone, gone) == []


def test_scenes_are_known_by_their_recipe():
    one, two = record("scenes:a"), record("scenes:b", "test")
    assert shared_images([one], [two]) == []
    assert shared_images([one], [two, one]) == [(one, one)]


@settings(max_examples=25, deadline=None)
@given(
    left=st.lists(st.sampled_from([b"", b"a", b"b", b"ab" * 5000, b"ba" * 5000]), max_size=5),
    right=st.lists(st.sampled_from([b"", b"a", b"b", b"ab" * 5000, b"c"]), max_size=5),
)
def test_as_comparing_all_with_all(tmp_path_factory, left, right):
    folder = tmp_path_factory.mktemp("leaks")
    one, other = write(folder / "a", left), write(folder / "b", right)
    found = {two.path for _, two in shared_images(one, other)}
    wanted = {
        two.path
        for (x, _), (y, two) in itertools.product(
            zip(left, one, strict=True), zip(right, other, strict=True)
        )
        if x == y
    }
    assert found == wanted


@pytest.mark.parametrize("spec", ["voc:voc-mini/VOCdevkit/VOC2007", "coco:coco-mini/coco"])
def test_real_data_has_none(data_root, spec):
    from boxless.data.sources import load_manifest

    prefix, _, path = spec.partition(":")
    manifest = load_manifest(f"{prefix}:{data_root / path}")
    parts = manifest.split("train").records, manifest.split("test").records
    assert shared_images(*parts) == []
    assert len(shared_images(parts[0], parts[0])) == len(parts[0])
