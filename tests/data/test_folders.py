import os
import shutil

import pytest
from small_images import save_image

from boxless.data.sources import load_manifest
from boxless.errors import DataError


def read(root, *options):
    return load_manifest(",".join((f"folder:{root}", *options)))


def tags_of(manifest):
    return {
        r.image_id: {n for n, v in zip(manifest.classes, r.labels, strict=True) if v == 1}
        for r in manifest.records
    }


def fill(root, *names):
    for number, name in enumerate(names):
        save_image(root / name, seed=number)


def test_a_folder_for_each_class(tmp_path):
    fill(tmp_path, *(f"{name}/{n}.png" for n in range(20) for name in ("cat", "dog")))
    found = read(tmp_path)
    assert found.classes == ("cat", "dog")
    assert len(found) == 40
    assert tags_of(found)["cat/0.png"] == {"cat"}
    assert tags_of(found)["dog/0.png"] == {"dog"}
    assert found.reading == ("labels = names of folders",)
    assert any("80 % train and 20 % test" in note for note in found.notes)


@pytest.mark.parametrize(
    ("names", "splits"),
    [(("train", "valid", "test"), {"train", "val", "test"}), (("Train", "val"), {"train", "test"})],
)
def test_folders_of_splits_above(tmp_path, names, splits):
    fill(tmp_path, *(f"{split}/{name}/1.png" for split in names for name in ("cat", "dog")))
    found = read(tmp_path)
    assert found.classes == ("cat", "dog")
    assert set(found.split_names) == splits
    assert "split = folders above" in found.reading[0]


def test_a_folder_around_those_of_the_classes(tmp_path):
    fill(tmp_path, *(f"data/images/{name}/{n}.png" for n in range(20) for name in ("cat", "dog")))
    assert read(tmp_path).classes == ("cat", "dog")


def test_a_class_named_train(tmp_path):
    fill(tmp_path, *(f"{name}/{n}.png" for n in range(20) for name in ("train", "plane")))
    assert read(tmp_path).classes == ("plane", "train")


def test_one_class_is_enough(tmp_path):
    fill(tmp_path, *(f"cat/{n}.png" for n in range(30)), *(f"{n}.png" for n in range(30)))
    found = read(tmp_path)
    assert found.classes == ("cat",)
    assert sum(record.labels == (1,) for record in found.records) == 30
    assert "30 images lie in no folder of a class: they have no tag" in found.notes


def test_a_picture_in_the_folders_of_several_tags(tmp_path):
    fill(tmp_path, *(f"cat/{n}.png" for n in range(20)), *(f"sofa/x{n}.png" for n in range(20)))
    shutil.copy(tmp_path / "cat" / "3.png", tmp_path / "sofa" / "3.png")
    os.link(tmp_path / "cat" / "4.png", tmp_path / "sofa" / "4.png")
    save_image(tmp_path / "sofa" / "5.png", seed=99)  # another picture of the same name
    found = tags_of(read(tmp_path))
    assert found["cat/3.png"] == found["cat/4.png"] == {"cat", "sofa"}
    assert found["cat/5.png"] == {"cat"}
    assert found["sofa/5.png"] == {"sofa"}
    assert "2 pictures lie in several folders and have all their tags" in read(tmp_path).notes


def test_what_is_skipped_is_counted_and_named(tmp_path):
    fill(tmp_path / "data", *(f"cat/{n}.png" for n in range(20)), "dog/1.png")
    fill(tmp_path / "data", "cat/.ipynb_checkpoints/a.png", "__MACOSX/cat/b.png", "cat/._1.png")
    for name in ("cat/a.HEIC", "cat/b.heif", "cat/notes.txt", "cat/raw.CR2", "Thumbs.db"):
        (tmp_path / "data" / name).write_text("x")
    notes = read(tmp_path / "data").notes
    assert "1 images in .ipynb_checkpoints are left out" in notes
    assert "1 images in __MACOSX are left out" in notes
    assert "1 images in hidden files are left out" in notes
    assert any(
        "2 HEIC files are left out: convert them to JPEG, the package pillow-heif" in note
        for note in notes
    )
    assert any("1 raw files of cameras" in note for note in notes)
    assert "1 other files are left out: .txt (1)" in notes


def test_linked_folders_are_followed_once(tmp_path):
    fill(tmp_path / "elsewhere", *(f"{n}.png" for n in range(24)))
    fill(tmp_path / "data", *(f"dog/x{n}.png" for n in range(20)))
    (tmp_path / "data" / "cat").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "dog" / "again").symlink_to(tmp_path / "data")
    found = read(tmp_path / "data")
    assert sum("cat" in tags for tags in tags_of(found).values()) == 24
    assert any("a folder linked twice (1)" in note for note in found.notes)


@pytest.mark.parametrize("suffix", [".jfif", ".mpo", ".jp2", ".JPG", ".webp"])
def test_endings_that_are_images(tmp_path, suffix):
    fill(tmp_path, *(f"cat/{n}.png" for n in range(20)))
    (tmp_path / "cat" / f"more{suffix}").touch()
    assert len(read(tmp_path)) == 21


def test_nothing_to_read(tmp_path):
    with pytest.raises(DataError, match="no image in this folder"):
        read(tmp_path)
    fill(tmp_path, "1.png", "2.png")
    with pytest.raises(DataError, match="expected a folder for each class, or a table"):
        read(tmp_path)
    with pytest.raises(DataError, match=r"expected a folder of images at .*no, found nothing"):
        read(tmp_path / "no")


class TestHuggingFace:
    @pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl"])
    def test_a_table_beside_the_images(self, tmp_path, name):
        fill(tmp_path, *(f"{n}.png" for n in range(40)), "other.png")
        if name.endswith("csv"):
            lines = [
                "file_name,label",
                *(f"{n}.png,{'cat' if n % 2 else 'dog'}" for n in range(40)),
            ]
        else:
            label = ['["cat"]', '["dog", "cat"]']
            lines = [f'{{"file_name": "{n}.png", "labels": {label[n % 2]}}}' for n in range(40)]
        (tmp_path / name).write_text("\n".join(lines))
        found = read(tmp_path)
        assert found.classes == ("cat", "dog")
        assert len(found) == 40
        assert any("1 images are in no table and left out" in note for note in found.notes)

    def test_a_table_for_each_split(self, tmp_path):
        for split in ("train", "validation", "test"):
            fill(tmp_path / split, "a.png", "b.png")
            (tmp_path / split / "metadata.csv").write_text(
                "file_name,label\na.png,cat\nb.png,dog\n"
            )
        found = read(tmp_path)
        assert found.split_names == ("test", "train", "val")
        assert found.records[0].path == f"{tmp_path}/test/a.png"
        assert found.fingerprint

    def test_names_of_numbers_in_parquet(self, tmp_path):
        pa = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        fill(tmp_path, "a.png", "b.png")
        table = pa.table(
            {"file_name": ["a.png", "b.png"], "label": [1, 0], "split": ["train", "test"]}
        )
        names = (
            '{"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}'
        )
        table = table.replace_schema_metadata({"huggingface": names})
        parquet.write_table(table, tmp_path / "metadata.parquet")
        assert tags_of(read(tmp_path)) == {"a.png": {"dog"}, "b.png": {"cat"}}

    def test_roboflows_classes(self, tmp_path):
        for split in ("train", "valid", "test"):
            fill(tmp_path / split, "a.png", "b.png")
            (tmp_path / split / "_classes.csv").write_text(
                "filename, cat, dog\na.png, 1, 0\nb.png, 1, 1\n"
            )
        found = read(tmp_path)
        assert found.classes == ("cat", "dog")
        assert set(found.split_names) == {"train", "val", "test"}
        assert len({record.image_id for record in found.records}) == 6
