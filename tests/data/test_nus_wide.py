from collections import Counter
from pathlib import Path

import pytest

from boxless.data import nus_wide
from boxless.data.nus_wide import _FAULTS, read_official
from boxless.data.text import read_class_names
from boxless.errors import DataError

# name: (own split, concepts)
IMAGES = {
    "actor\\0001_2124494179.jpg": ("Train", ("cat", "person")),
    "actor\\0002_174174086.jpg": ("Train", ()),
    "zebra\\0003_11.jpg": ("Train", ("zebra",)),
    "zebra\\0004_12.jpg": ("Test", ("zebra", "animal")),
    "zebra\\0005_13.jpg": ("Test", ()),
}


class NusWideTree:
    """A folder in the official layout; images are empty files."""

    def __init__(self, root: Path, images=IMAGES) -> None:
        self.root = root
        self.labels = root / "Groundtruth" / "TrainTestLabels"
        self.labels.mkdir(parents=True)
        (root / "ImageList").mkdir()
        for split in ("Train", "Test"):
            mine = {name: tags for name, (own, tags) in images.items() if own == split}
            text = "".join(f"{name}\r\n" for name in mine)
            (root / "ImageList" / f"{split}Imagelist.txt").write_bytes(text.encode())
            for concept in nus_wide.CONCEPTS:
                column = "".join(f"{int(concept in tags)}\n" for tags in mine.values())
                (self.labels / f"Labels_{concept}_{split}.txt").write_text(column)
        for name in images:
            path = root / "Flickr" / name.replace("\\", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()


@pytest.fixture
def tree(tmp_path):
    return NusWideTree(tmp_path / "NUS-WIDE")


def tags(record):
    named = zip(nus_wide.CONCEPTS, record.labels, strict=True)
    return tuple(name for name, label in named if label == 1)


def flat_line(name, *concepts):
    return " ".join([name, *(str(int(c in concepts)) for c in nus_wide.CONCEPTS)]) + "\n"


def test_the_official_names(data_root):
    path = data_root / "nus-wide" / "Concepts81.txt"
    assert read_class_names(path) == nus_wide.CONCEPTS  # CRLF line ends in the real file
    assert len(nus_wide.CONCEPTS) == 81


def test_official_folders_with_the_official_split(tree):
    found = nus_wide.read(f"{tree.root},split=lists,unlabelled=keep")
    assert found.classes == nus_wide.CONCEPTS
    assert not found.has_boxes
    assert [(r.image_id, r.split, tags(r)) for r in found.records] == [
        (name.replace("\\", "/"), own.lower(), tuple(sorted(concepts)))
        for name, (own, concepts) in IMAGES.items()
    ]
    first = found.records[0]
    assert first.path == f"{tree.root}/Flickr/actor/0001_2124494179.jpg"
    assert first.source == f"{tree.root}/ImageList/TrainImagelist.txt:1"
    assert found.fingerprint


def test_images_without_a_concept_are_dropped_unless_asked_for(tree):
    found = nus_wide.read(f"{tree.root},split=lists")
    assert found.image_ids == (
        "actor/0001_2124494179.jpg", "zebra/0003_11.jpg", "zebra/0004_12.jpg",
    )  # fmt: skip
    assert any("2 of 5 images carry no concept" in note for note in found.notes)


def many(folder, count):
    """One flat list of many images."""
    (folder / "a").mkdir()
    for n in range(count):
        (folder / "a" / f"{n:04d}.jpg").touch()
    path = folder / "all.txt"
    path.write_text("".join(flat_line(f"a/{n:04d}.jpg", "sky") for n in range(count)))
    return path


def splits(manifest):
    return {record.image_id: record.split for record in manifest.records}


def test_the_seeded_split_keeps_the_ratio_and_depends_on_the_seed_alone(tmp_path):
    path = many(tmp_path, 419)
    found = nus_wide.read(str(path))
    assert Counter(splits(found).values()) == {"train": 300, "test": 119}
    assert any("300 train and 119 test" in note for note in found.notes)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(reversed(lines)))
    assert splits(nus_wide.read(str(path))) == splits(found)
    other = splits(nus_wide.read(f"{path},seed=1"))
    assert 0.5 < sum(other[k] == v for k, v in splits(found).items()) / 419 < 0.7
    pinned = [image_id for image_id, split in splits(found).items() if split == "test"][:5]
    assert pinned == PINNED  # published: other versions and machines draw the same images


PINNED = ["a/0001.jpg", "a/0003.jpg", "a/0007.jpg", "a/0011.jpg", "a/0012.jpg"]


def test_the_seeded_split_hardly_moves_when_images_are_missing(tmp_path):
    path = many(tmp_path, 200)
    before = splits(nus_wide.read(str(path)))
    for n in range(0, 200, 10):
        (tmp_path / "a" / f"{n:04d}.jpg").unlink()
    after = splits(nus_wide.read(f"{path},missing=drop"))
    assert Counter(after.values()) == {"train": 129, "test": 51}
    assert sum(before[k] != v for k, v in after.items()) < 10


def test_the_paper_s_numbers():
    assert nus_wide.ALL_IMAGES - nus_wide.TRAIN_IMAGES == 59_347


def test_missing_images_are_reported(tree):
    (tree.root / "Flickr/zebra/0004_12.jpg").unlink()
    with pytest.raises(DataError) as caught:
        nus_wide.read(str(tree.root))
    assert "1 of 3 image files are missing" in caught.value.message
    assert "TestImagelist.txt:1: " in caught.value.message
    assert f"nus-wide:{tree.root},missing=drop" in caught.value.hint
    found = nus_wide.read(f"{tree.root},missing=drop,split=lists")
    assert len(found) == 2
    assert any("1 of 3 image files are missing and left out" in note for note in found.notes)


def test_images_in_one_flat_folder_or_elsewhere(tree, tmp_path):
    flat = tree.root / "images"
    flat.mkdir()
    for path in list((tree.root / "Flickr").rglob("*.jpg")):
        path.rename(flat / path.name)
    paths = [record.path for record in nus_wide.read(str(tree.root)).records]
    assert paths[0] == f"{flat}/0001_2124494179.jpg"
    elsewhere = flat.rename(tmp_path / "pictures")
    found = nus_wide.read(f"{tree.root},images={elsewhere}")
    assert found.records[0].path == f"{elsewhere}/0001_2124494179.jpg"


def test_labels_beside_and_concepts_of_their_own(tree):
    tree.labels.rename(tree.root / "TrainTestLabels")
    (tree.root / "ConceptsList").mkdir()
    (tree.root / "ConceptsList" / "Concepts81.txt").write_text("zebra\ncat\n")
    found = nus_wide.read(f"{tree.root},split=lists")
    assert found.classes == ("zebra", "cat")
    assert [record.labels for record in found.records] == [(0, 1), (1, 0), (1, 0)]


def test_a_known_fault_of_the_official_files_is_unknown(tree, monkeypatch):
    path = tree.labels / "Labels_lake_Train.txt"
    path.write_text("0\n0\n-1130179\n")
    with pytest.raises(DataError, match=r"lake_Train\.txt:3: expected 0 or 1, found '-1130179'"):
        nus_wide.read(str(tree.root))
    assert _FAULTS == {("Labels_lake_Train.txt", 78372): "-1130179"}
    monkeypatch.setitem(_FAULTS, ("Labels_lake_Train.txt", 3), "-1130179")
    found = nus_wide.read(str(tree.root))
    record = next(r for r in found.records if r.image_id == "zebra/0003_11.jpg")
    assert record.labels[nus_wide.CONCEPTS.index("lake")] == -1
    assert tags(record) == ("zebra",)
    assert any("1 labels are known to be wrong" in note for note in found.notes)


class TestFlatLists:
    @pytest.fixture
    def folder(self, tmp_path):
        root = tmp_path / "flat"
        (root / "images").mkdir(parents=True)
        for name in "abcd":
            (root / "images" / f"{name}.jpg").touch()
        (root / "train.txt").write_text(
            flat_line("images/a.jpg", "sky", "sun") + flat_line("images/b.jpg")
        )
        (root / "test.txt").write_text(flat_line("images/c.jpg", "cat"))
        return root

    def test_two_lists_keep_their_split(self, folder):
        found = nus_wide.read(str(folder))
        assert [(r.image_id, r.split, tags(r)) for r in found.records] == [
            ("images/a.jpg", "train", ("sky", "sun")),
            ("images/c.jpg", "test", ("cat",)),
        ]
        assert found.records[0].path == f"{folder}/images/a.jpg"
        assert found.records[1].source == f"{folder}/test.txt:1"

    def test_lists_of_other_names(self, folder):
        (folder / "train.txt").rename(folder / "database.txt")
        with pytest.raises(DataError, match=r"flat list train\.txt in .*found database\.txt"):
            nus_wide.read(str(folder))
        assert len(nus_wide.read(f"{folder},train=database.txt")) == 2

    def test_one_list_is_split_with_the_seed(self, folder):
        text = "".join(flat_line(f"images/{name}.jpg", "sky") for name in "abcd")
        (folder / "all.txt").write_text(text)
        found = nus_wide.read(f"{folder}/all.txt")
        assert Counter(splits(found).values()) == {"train": 3, "test": 1}
        with pytest.raises(DataError, match="split as seeded, found 'lists'"):
            nus_wide.read(f"{folder}/all.txt,split=lists")

    @pytest.mark.parametrize(
        "line", ["images/a.jpg 0 1", flat_line("images/a.jpg").replace(" 0", " 2", 1), "x " * 90]
    )
    def test_bad_lines(self, folder, line):
        (folder / "test.txt").write_text(flat_line("images/c.jpg", "cat") + line)
        with pytest.raises(DataError, match=r"test\.txt:2: expected a path and 81 zeros and ones"):
            nus_wide.read(str(folder))

    def test_an_image_in_both_lists(self, folder):
        (folder / "test.txt").write_text(flat_line("images/a.jpg", "cat"))
        with pytest.raises(DataError, match=r"test\.txt:1: image id .* already taken at .*train"):
            nus_wide.read(str(folder))

    def test_nothing_labelled(self, folder):
        for name in ("train", "test"):
            (folder / f"{name}.txt").write_text(flat_line(f"images/{name}.jpg"))
        with pytest.raises(DataError, match="none of 2 listed images carries a concept"):
            nus_wide.read(str(folder))


class TestErrors:
    def test_a_label_file_of_another_length(self, tree):
        (tree.labels / "Labels_sky_Test.txt").write_text("0\n")
        with pytest.raises(DataError, match=r"sky_Test\.txt: expected 2 labels, .*found 1"):
            nus_wide.read(str(tree.root))

    def test_two_labels_run_together(self, tree):
        (tree.labels / "Labels_sky_Train.txt").write_text("0\n00\n0\n")
        with pytest.raises(DataError, match=r"sky_Train\.txt:2: expected 0 or 1, found '00'"):
            nus_wide.read(str(tree.root))

    def test_a_label_file_that_is_not_there(self, tree):
        (tree.labels / "Labels_sky_Train.txt").unlink()
        with pytest.raises(DataError, match=r"sky_Train\.txt: cannot be read.*\n.*Groundtruth"):
            nus_wide.read(str(tree.root))

    def test_an_image_list_that_is_not_there_or_empty(self, tree):
        path = tree.root / "ImageList" / "TestImagelist.txt"
        path.write_text("\n")
        with pytest.raises(DataError, match=r"TestImagelist\.txt: expected an image a line"):
            list(read_official(tree.root, ("sky",), "test"))
        path.unlink()
        with pytest.raises(DataError, match=r"TestImagelist\.txt: cannot be read"):
            nus_wide.read(str(tree.root))

    def test_nothing_there(self, tmp_path):
        with pytest.raises(DataError, match=r"expected NUS-WIDE at .*found nothing"):
            nus_wide.read(str(tmp_path / "no"))
        with pytest.raises(DataError, match=r"ImageList or the flat list train\.txt .*no list"):
            nus_wide.read(str(tmp_path))

    def test_a_seed_that_is_no_number(self, tree):
        with pytest.raises(DataError, match="seed as a whole number from 0, found 'x'"):
            nus_wide.read(f"{tree.root},seed=x")
