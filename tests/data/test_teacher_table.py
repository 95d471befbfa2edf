"""Tables of probabilities: every format, names found by id, path and file name, bad input."""

import numpy as np
import pytest

from boxless.data.teacher_table import read_teacher_table, write_teacher_table
from boxless.errors import DataError
from boxless.types import ImageRecord

CLASSES = ("cat", "dog", "cow")
IMAGES = ("a", "/photos/b.jpg", "c.jpg")
VALUES = np.float32([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6], [0.0, 1.0, 0.25]])
RECORDS = [
    ImageRecord("c", "/photos/c.jpg", "train", (1, 0)),
    ImageRecord("a", "/photos/a.jpg", "train", (1, 0)),
    ImageRecord("b", "/photos/b.jpg", "train", (1, 0)),
]


def write(path, images=IMAGES, classes=CLASSES, values=VALUES):
    if path.suffix in (".npz", ".safetensors"):
        write_teacher_table(path, images, classes, values)
    elif path.suffix == ".csv":
        lines = [",".join(["image", *classes])]
        lines += [",".join([i, *map(str, row)]) for i, row in zip(images, values, strict=True)]
        path.write_text("\n".join(lines) + "\n")
    else:
        pyarrow = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        columns = {name: values[:, k] for k, name in enumerate(classes)}
        parquet.write_table(pyarrow.table({"image": list(images), **columns}), path)
    return path


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".csv", ".parquet"])
def test_rows_and_columns_are_found_by_name(tmp_path, suffix):
    table = read_teacher_table(write(tmp_path / f"table{suffix}"))
    assert table.images == IMAGES
    assert table.classes == CLASSES
    found = table.of(RECORDS, ("cow", "cat"))
    np.testing.assert_array_equal(found, VALUES[[2, 0, 1]][:, [2, 0]])
    assert found.dtype == np.float32


def test_a_file_name_that_two_images_share_is_refused(tmp_path):
    table = read_teacher_table(write(tmp_path / "table.npz"))
    other = ImageRecord("d", "/elsewhere/c.jpg", "train", ())
    with pytest.raises(DataError, match=r"'c.jpg' is the file name of c and of d"):
        table.of([*RECORDS, other], CLASSES)


def test_missing_images_and_classes_are_listed(tmp_path):
    table = read_teacher_table(write(tmp_path / "table.npz"))
    others = [ImageRecord(f"z{n}", f"/z{n}.jpg", "train", ()) for n in range(7)]
    with pytest.raises(DataError, match=r"all 10 images, found none for 7: z0, z1, z2, z3, z4, …"):
        table.of([*RECORDS, *others], CLASSES)
    with pytest.raises(DataError, match=r"all 2 classes, found none for 1: horse"):
        table.of(RECORDS, ("cat", "horse"))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"values": VALUES * 3 - 1}, r"from 0 to 1, found -0\.7.*image a, class cat"),
        ({"values": VALUES * np.nan}, r"from 0 to 1, found nan.*8 more"),
        ({"images": ("a", "b", "a")}, "every image once, found 'a' twice"),
        ({"classes": ("cat", "dog", "cat")}, "every class once, found 'cat' twice"),
        ({"images": ("a", "b")}, r"2 images x 3 classes, found \(3, 3\)"),
    ],
)
def test_wrong_tables_are_refused(tmp_path, changes, text):
    with pytest.raises(DataError, match=text):
        read_teacher_table(write(tmp_path / "table.npz", **changes))


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("table.txt", b"", r"one of \.npz.*found '\.txt'"),
        ("table.npz", b"no zip", "cannot be read"),
        ("table.safetensors", b"no tensors", "cannot be read"),
        ("table.csv", b"file,cat\na,0.5\n", "'image' as first column, found 'file'"),
        ("table.csv", b"image,cat\na,much\n", "could not convert string to float: 'much'"),
        ("table.csv", b"image,cat,dog\na,0.5\n", r"1 images x 2 classes, found \(1, 1\)"),
        ("table.csv", b"", "cannot be read"),
    ],
)
def test_files_that_are_no_tables_are_named(tmp_path, name, content, text):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{name}.*{text}"):
        read_teacher_table(tmp_path / name)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"gone\.npz: cannot be read"):
        read_teacher_table(tmp_path / "gone.npz")
    with pytest.raises(DataError, match=r"expected \.npz or \.safetensors, found '\.csv'"):
        write_teacher_table(tmp_path / "t.csv", IMAGES, CLASSES, VALUES)
