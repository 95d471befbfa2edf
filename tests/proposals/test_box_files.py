import json
import pickle
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxless.errors import BoxlessError, ConfigError, DataError
from boxless.proposals.box_files import BoxTable, read_boxes
from boxless.proposals.imported import ImportedBoxes, possible_names
from boxless.types import ImageRecord

BOXES = np.array([[0, 0, 10, 20], [3.5, 4, 50, 60]])  # ours: continuous, ends exclusive
SCORES = np.array([0.25, 0.75])


def write_json(path):
    x1, y1, x2, y2 = BOXES.T
    entries = [
        {"image_id": name, "category_id": 1, "bbox": box, "score": score}
        for name, count in ((5, 2), ("000007.jpg", 1))
        for box, score in zip(
            np.stack([x1, y1, x2 - x1, y2 - y1], 1)[:count].tolist(), SCORES.tolist(), strict=False
        )
    ]
    path.write_text(json.dumps(entries))


def write_npz(path):
    both = np.column_stack([BOXES, SCORES])
    np.savez(path, **{"000005": both, "000007.jpg": both[:1]})


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("b.json", write_json),
        ("b.npz", write_npz),
    ],
)
def test_all_formats_say_the_same(tmp_path, name, write):
    write(tmp_path / name)
    imported = ImportedBoxes(str(tmp_path / name))
    for record, count in ((record_of("000005.jpg"), 2), (record_of("000007.jpg"), 1)):
        boxes, scores = imported.at(record, 60, 60)
        boxes, scores = boxes[::-1], scores[::-1]  # best first
        np.testing.assert_allclose(boxes, BOXES[:count])
        np.testing.assert_allclose(scores, SCORES[:count])


def record_of(file_name, image_id="some id"):
    return ImageRecord(image_id, f"/photos/{file_name}", "train", (1,))


def test_coco_object_with_images(tmp_path):
    facts = {
        "images": [{"id": 9, "file_name": "cat.jpg"}, {"id": 3, "file_name": "no boxes.jpg"}],
        "annotations": [{"image_id": 9, "bbox": [1, 2, 3, 4], "score": 0.5}],
    }
    (tmp_path / "b.json").write_text(json.dumps(facts))
    boxes, _ = read_boxes(tmp_path / "b.json")["cat.jpg"]
    np.testing.assert_allclose(boxes, [[1, 2, 4, 6]])


@pytest.mark.slow
def test_a_large_file_is_never_held_as_a_whole(tmp_path):
    """60 times as many detections of one image cost what the table itself holds."""
    entry = {"image_id": 1, "category_id": 3, "bbox": [1.5, 2.5, 3.5, 4.5], "score": 0.125}
    text = json.dumps(entry)
    peaks = []
    for count in (1_000, 60_000):
        (tmp_path / "b.json").write_text(f"[{', '.join([text] * count)}]")
        read_boxes(tmp_path / "b.json")  # the parser's own memory, once
        tracemalloc.start()
        boxes, _ = read_boxes(tmp_path / "b.json")["1"]
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert len(boxes) == count
    assert peaks[1] - peaks[0] < 4 * 20 * 60_000  # the table, copied once; the text has 5.5 MB


@pytest.mark.parametrize(
    ("name", "record"),
    [
        ("my id", record_of("x.jpg", "my id")),
        ("x.jpg", record_of("x.jpg")),
        ("x", record_of("x.jpg")),
        ("139", record_of("000000000139.jpg")),
        ("photos/x.jpg", record_of("x.jpg")),
    ],
)
def test_names_by_which_an_image_is_found(name, record):
    assert name in possible_names(record)
    assert name not in possible_names(record_of("y.jpg"))


@given(
    st.lists(
        st.tuples(*[st.floats(-1e4, 1e4, width=32)] * 4, st.floats(0, 1, width=32)), min_size=1
    )
)
def test_numbers_survive_the_table(rows):
    one, other = BoxTable("a"), BoxTable("b")
    for row in rows:
        one.add("x", row)
    array = np.array(rows)
    other.add_all("x", array)
    for table in (one, other):
        np.testing.assert_array_equal(table["x"][0], array[:, :4].astype(np.float32))
        np.testing.assert_array_equal(table["x"][1], array[:, 4].astype(np.float32))


def test_unknown_types_and_missing_files(tmp_path):
    for name, message in (("b.pkl", "pickles are not read"), ("b.mat", "numpy.savez")):
        with pytest.raises(ConfigError, match=r"ending in .json or .npz, found") as caught:
            read_boxes(tmp_path / name)
        assert message in caught.value.hint
    with pytest.raises(DataError, match=r"expected a file of boxes at .*b.npz, found none"):
        read_boxes(tmp_path / "b.npz")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("b.json", "[{", "no JSON file"),
        ("b.json", "3", "found a number"),
        ("b.json", '{"annotations": []}', "expected boxes in .*b.json, found none"),
        ("b.json", '[{"image_id": 1, "bbox": [1, 2, 3, 4], "score": 1}, 7]', "detection 2"),
        ("b.json", '[{"image_id": 1, "bbox": [1, 2, 3, 4], "score": 1},', "no JSON file"),
        ("b.json", "[]", "found none"),
        ("b.json", '[{"image_id": 1, "bbox": [1, 2, 3, 4]}]', "true boxes, not proposals"),
        (
            "b.json",
            '[{"image_id": 1, "bbox": [1, 2, 3, 4], "score": 1},'
            ' {"image_id": 1, "bbox": [1, 2, 3], "score": 1}]',
            "detection 2: expected image_id",
        ),
        ("b.json", '{"images": [{"id": 1}], "annotations": []}', "entry 1 of images"),
        ("b.npz", b"junk", "no NumPy archive"),
    ],
)
def test_damaged_files(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=message):
        read_boxes(path)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (10, 93),  # packed by an unknown method
        (6, 99),  # of a later version of the format
        (8, 1),  # encrypted
    ],
)
def test_archives_that_python_cannot_unpack(tmp_path, place, value):
    path = tmp_path / "b.npz"
    np.savez(path, a=BOXES)
    content = bytearray(path.read_bytes())
    entry = content.index(b"PK\x01\x02")  # the directory's
    content[entry + place] = value
    path.write_bytes(content)
    with pytest.raises(DataError, match="no NumPy archive"):
        read_boxes(path)


def test_a_numpy_header_that_python_cannot_split(tmp_path):
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1, 4, \n"
    array = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        archive.writestr("a.npy", array)
    with pytest.raises(DataError, match="no NumPy archive"):
        read_boxes(tmp_path / "b.npz")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": np.array(["x"])}, "expected numbers"),
        ({"a": np.ones((2, 3))}, r"expected \(R, 4\)"),
    ],
)
def test_numpy_files_of_another_layout(tmp_path, arrays, message):
    np.savez(tmp_path / "b.npz", **arrays)
    with pytest.raises(DataError, match=message):
        read_boxes(tmp_path / "b.npz")


class Evil:
    def __init__(self, trap):
        self.trap = trap

    def __reduce__(self):
        return (Path.touch, (self.trap,))


def test_nothing_pickled_is_loaded(tmp_path):
    trap = tmp_path / "trap"
    np.savez(tmp_path / "objects.npz", a=np.array([Evil(trap)], object))
    (tmp_path / "raw.npz").write_bytes(pickle.dumps(Evil(trap)))
    for name in ("objects.npz", "raw.npz"):
        with pytest.raises(BoxlessError, match="pickled objects are not read"):
            read_boxes(tmp_path / name)
    assert not trap.exists()
