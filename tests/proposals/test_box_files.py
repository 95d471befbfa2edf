import json
import pickle
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import savemat

from boxless.errors import BoxlessError, ConfigError, DataError
from boxless.proposals.box_files import read_boxes
from boxless.proposals.box_table import BoxTable
from boxless.types import ImageRecord

BOXES = np.array([[0, 0, 10, 20], [3.5, 4, 50, 60]])  # ours: continuous, ends exclusive
SCORES = np.array([0.25, 0.75])
ONE_BASED = BOXES + np.array([1, 1, 0, 0])
SWAP = [1, 0, 3, 2]


def cells(*items):
    array = np.empty((1, len(items)), object)
    for place, item in enumerate(items):
        array[0, place] = item
    return array


def write_mat(path, order, **more):
    boxes = ONE_BASED if order == "xyxy" else ONE_BASED[:, SWAP]
    names = cells("000005", "000007.jpg")
    savemat(path, {"boxes": cells(boxes, boxes[:1]), "images": names.T, **more})


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
    ids = np.array(["000005", "000007.jpg"])
    boxes, scores = np.concatenate([BOXES, BOXES[:1]]), np.append(SCORES, SCORES[0])
    np.savez(path, image_ids=ids, boxes=boxes, offsets=[0, 2, 3], scores=scores)


def write_npz_by_name(path):
    both = np.column_stack([BOXES, SCORES])
    np.savez(path, **{"000005": both, "000007.jpg": both[:1]})


def write_text(path):
    path.write_text(
        "# boxes\n000005 0 0 10 20 .25\n000005 3.5 4 50 60 .75\n\n000007.jpg 0 0 10 20 .25\n"
    )


def write_csv(path):
    path.write_text(
        "image,x1,y1,x2,y2,score\n000005,0,0,10,20,.25\n000005, 3.5, 4, 50, 60, .75\n"
        "000007.jpg,0,0,10,20,.25\n"
    )


def with_scores(path):
    write_mat(path, "yxyx", boxScores=cells(SCORES[:, None], SCORES[:1, None]))


@pytest.mark.parametrize(
    ("name", "write", "order"),
    [
        ("b.json", write_json, "auto"),
        ("b.mat", with_scores, "yxyx"),
        ("b.npz", write_npz, "auto"),
        ("c.npz", write_npz_by_name, "xyxy"),
        ("b.txt", write_text, "auto"),
        ("b.csv", write_csv, "auto"),
    ],
)
def test_all_formats_say_the_same(tmp_path, name, write, order):
    write(tmp_path / name)
    table = read_boxes(tmp_path / name, order)
    for record, count in ((record_of("000005.jpg"), 2), (record_of("000007.jpg"), 1)):
        boxes, scores = table[table.name_of(record)]
        np.testing.assert_allclose(boxes, BOXES[:count])
        np.testing.assert_allclose(scores, SCORES[:count])


def record_of(file_name, image_id="some id"):
    return ImageRecord(image_id, f"/photos/{file_name}", "train", (1,))


@pytest.mark.parametrize("order", ["xyxy", "yxyx"])
def test_matlab_orders_without_scores(tmp_path, order):
    write_mat(tmp_path / "b.mat", order)
    boxes, scores = read_boxes(tmp_path / "b.mat", order)["000005"]
    np.testing.assert_allclose(boxes, BOXES)
    np.testing.assert_array_equal(scores, 1)
    other = "yxyx" if order == "xyxy" else "xyxy"
    assert not np.allclose(read_boxes(tmp_path / "b.mat", other)["000005"][0], BOXES)


def test_matlab_names_as_a_matrix_of_characters_and_scores_in_a_fifth_column(tmp_path):
    both = np.column_stack([ONE_BASED, SCORES])
    names = np.array(["000005", "000007"])
    savemat(tmp_path / "b.mat", {"boxes": cells(both, both[:1]), "images": names})
    boxes, scores = read_boxes(tmp_path / "b.mat", "xyxy")["000007"]
    np.testing.assert_allclose(boxes, BOXES[:1])
    np.testing.assert_allclose(scores, SCORES[:1])


@pytest.mark.parametrize("order", ["xyxy", "yxyx"])
def test_text_and_npz_take_an_order(tmp_path, order):
    box = BOXES[1][SWAP] if order == "yxyx" else BOXES[1]
    (tmp_path / "b.txt").write_text("a " + " ".join(map(str, box)))
    np.savez(tmp_path / "b.npz", a=box[None])
    for name in ("b.txt", "b.npz"):
        np.testing.assert_allclose(read_boxes(tmp_path / name, order)["a"][0], BOXES[1:])


def test_coco_object_with_images(tmp_path):
    facts = {
        "images": [{"id": 9, "file_name": "cat.jpg"}, {"id": 3, "file_name": "no boxes.jpg"}],
        "annotations": [{"image_id": 9, "bbox": [1, 2, 3, 4], "score": 0.5}],
    }
    (tmp_path / "b.json").write_text(json.dumps(facts))
    boxes, _ = read_boxes(tmp_path / "b.json", "auto")["cat.jpg"]
    np.testing.assert_allclose(boxes, [[1, 2, 4, 6]])


def test_a_large_file_is_never_held_as_a_whole(tmp_path):
    """60 times as many detections of one image cost what the table itself holds."""
    entry = {"image_id": 1, "category_id": 3, "bbox": [1.5, 2.5, 3.5, 4.5], "score": 0.125}
    text = json.dumps(entry)
    peaks = []
    for count in (1_000, 60_000):
        (tmp_path / "b.json").write_text(f"[{', '.join([text] * count)}]")
        read_boxes(tmp_path / "b.json", "auto")  # the parser's own memory, once
        tracemalloc.start()
        boxes, _ = read_boxes(tmp_path / "b.json", "auto")["1"]
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
    table = BoxTable("b.txt")
    table.add(name, (0, 0, 1, 1, 1))
    assert table.name_of(record) == name
    assert table.name_of(record_of("y.jpg")) is None


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
    other.add_all("x", array[:, :4], array[:, 4])
    for table in (one, other):
        np.testing.assert_array_equal(table["x"][0], array[:, :4].astype(np.float32))
        np.testing.assert_array_equal(table["x"][1], array[:, 4].astype(np.float32))


def test_unknown_types_and_orders(tmp_path):
    for name, message in (("b.pkl", "pickles are not read"), ("b.xml", "convert it")):
        with pytest.raises(ConfigError, match=message):
            read_boxes(tmp_path / name, "auto")
    with pytest.raises(ConfigError, match=r"order must be one of auto, xyxy, yxyx, found 'yx'"):
        read_boxes(tmp_path / "b.txt", "yx")
    with pytest.raises(ConfigError, match="does not say in which order"):
        read_boxes(tmp_path / "b.mat", "auto")
    with pytest.raises(ConfigError, match="leave the order out"):
        read_boxes(tmp_path / "b.json", "xyxy")
    with pytest.raises(DataError, match=r"expected a file of boxes at .*b.txt, found none"):
        read_boxes(tmp_path / "b.txt", "auto")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("b.txt", "a 1 2 3 4\na 1 2 3\n", r"b.txt:2: expected 5 fields as above"),
        ("b.txt", "a 1 2 3 4\n\nb 1 2 x 4\n", r"b.txt:3: expected 5 fields"),
        ("b.txt", "a 1 2\n", r"b.txt:1: expected 5 or 6 fields"),
        ("b.txt", "# nothing\n", "expected boxes in .*b.txt, found none"),
        ("b.txt", b"\xff\xfe\x00", "no text file"),
        ("b.json", "[{", "no JSON file"),
        ("b.json", "3", "found int"),
        ("b.json", '{"annotations": []}', "found an object without them"),
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
        ("b.mat", b"not a matlab file at all" * 20, "no MATLAB file, or damaged"),
        ("b.npz", b"junk", "no NumPy archive"),
    ],
)
def test_damaged_files(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=message):
        read_boxes(path, "xyxy" if name.endswith("mat") else "auto")


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
        read_boxes(path, "xyxy")


def test_a_numpy_header_that_python_cannot_split(tmp_path):
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1, 4, \n"
    array = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        archive.writestr("a.npy", array)
    with pytest.raises(DataError, match="no NumPy archive"):
        read_boxes(tmp_path / "b.npz", "xyxy")


@pytest.mark.parametrize(
    ("before", "place", "value"),
    [
        (b"boxes", -32, 6),  # cells that call themselves numbers: ends SciPy's process
        (b"boxes", -32, 5),  # a sparse matrix
        (b"boxes", -16, 9),  # more cells than there are
        (b"images", 56, 77),  # a text whose elements are of no known type
        (b"images", 8, 9),  # cells of numbers
    ],
)
def test_matlab_files_whose_types_do_not_fit(tmp_path, before, place, value):
    path = tmp_path / "b.mat"
    savemat(path, {"boxes": cells(BOXES), "images": cells("a.jpg")})
    content = bytearray(path.read_bytes())
    content[content.index(before) + place] = value
    path.write_bytes(content)
    with pytest.raises(DataError, match="no MATLAB file, or damaged"):
        read_boxes(path, "xyxy")


@pytest.mark.parametrize("compressed", [False, True])
def test_matlab_files_may_hold_other_things(tmp_path, compressed):
    path = tmp_path / "b.mat"
    other = {"notes": {"by": "me"}, "count": 3, "z": np.array([1j])}
    empty = cells(BOXES, np.zeros((0, 4)))
    variables = {**other, "boxes": empty, "images": cells("a", "b")}
    savemat(path, variables, do_compression=compressed)
    table = read_boxes(path, "xyxy")
    assert [len(table[name][0]) for name in "ab"] == [len(BOXES), 0]


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"bbs": np.ones((2, 5))}, "expected the variables boxes and images, found bbs"),
        ({"boxes": np.ones((2, 4)), "images": cells("a")}, "as one cell for each"),
        ({"boxes": cells(BOXES), "images": cells("a", "b")}, "each of the 2 images"),
        ({"boxes": cells(BOXES[:, :3]), "images": cells("a")}, r"expected \(R, 4\) boxes"),
        ({"boxes": cells("text"), "images": cells("a")}, "expected numbers"),
        ({"boxes": cells(BOXES, BOXES), "images": cells("a", "a")}, "'a' occurs twice"),
        (
            {"boxes": cells(BOXES), "images": cells("a"), "boxScores": cells(SCORES[:1])},
            "R scores",
        ),
    ],
)
def test_matlab_files_of_another_layout(tmp_path, variables, message):
    savemat(tmp_path / "b.mat", variables)
    with pytest.raises(DataError, match=message):
        read_boxes(tmp_path / "b.mat", "xyxy")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": np.array(["x"])}, "expected numbers"),
        ({"a": np.ones((2, 3))}, r"expected \(R, 4\)"),
        ({"image_ids": ["a"], "boxes": BOXES, "offsets": [0, 1]}, "rising whole offsets"),
        (
            {"image_ids": ["a"], "boxes": BOXES, "offsets": [0, 2], "scores": [1]},
            r"scores of shape \(2,\)",
        ),
    ],
)
def test_numpy_files_of_another_layout(tmp_path, arrays, message):
    np.savez(tmp_path / "b.npz", **arrays)
    with pytest.raises(DataError, match=message):
        read_boxes(tmp_path / "b.npz", "auto")


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
            read_boxes(tmp_path / name, "auto")
    assert not trap.exists()
