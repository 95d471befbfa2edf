import numpy as np
import pytest
from proposal_pictures import contents

from boxless.errors import ConfigError, DataError, StoreError
from boxless.proposals.imported import ImportedBoxes
from boxless.proposals.proposer import make_proposer


@pytest.fixture
def rows(records):
    """Two boxes for each of the ten pictures (80 to 86 x 60 to 64 pixels)."""
    return [
        (record.image_id, x, 5, x + 30, 40, score)
        for number, record in enumerate(records)
        for x, score in ((number, 0.1), (number + 9, 0.9))
    ]


@pytest.fixture
def file(tmp_path, rows):
    return write(tmp_path, rows)


def write(folder, rows):
    boxes = {name: [] for name, *_ in rows}
    for name, *numbers in rows:
        boxes[name].append(numbers)
    np.savez(folder / "boxes.npz", **boxes)
    return str(folder / "boxes.npz")


def test_fills_a_store_best_first(make_store, file, records):
    store = make_store(proposer=make_proposer("file", file=file))
    assert len(store) == 10
    assert store.index.inputs.proposer == "file"
    for number, record in enumerate(records):
        found = store[record.image_id]
        np.testing.assert_allclose(found.scores, [0.9, 0.1])
        np.testing.assert_array_equal(found.boxes[0], [number + 9, 5, number + 39, 40])
        assert (found.width, found.height) == (80 + number % 7, 60 + number % 5)


def test_bytes_do_not_depend_on_workers(make_store, file, tmp_path):
    imported = make_proposer("file", file=file)
    one = make_store(folder=tmp_path / "one", proposer=imported)
    many = make_store(folder=tmp_path / "many", proposer=imported, workers=3)
    assert contents(one.folder) == contents(many.folder)


def test_keeps_the_best(make_store, file):
    store = make_store(proposer=make_proposer("file", file=file, max_boxes=1))
    assert all(store[image_id].scores.tolist() == [np.float32(0.9)] for image_id in store)


def test_a_changed_file_is_another_input(make_store, file, rows, tmp_path):
    make_store(proposer=make_proposer("file", file=file))
    (tmp_path / "new").mkdir()
    other = write(tmp_path / "new", [(*row[:5], row[5] / 2) for row in rows])
    with pytest.raises(StoreError, match=r"settings\.sha256"):
        make_store(proposer=make_proposer("file", file=other))


def test_missing_images(make_store, rows, tmp_path):
    imported = make_proposer("file", file=write(tmp_path, rows[:-4]))
    with pytest.raises(DataError, match="no boxes for 2 of 10 images") as caught:
        make_store(proposer=imported)
    assert "'picture008'" in str(caught.value)
    assert not (tmp_path / "store").exists()  # found before anything is written
    store = make_store(proposer=imported, skip_bad=True)
    assert len(store) == 8
    assert dict(store.skipped).keys() == {"picture008", "picture009"}


def test_no_image_at_all_is_no_case_for_skipping(make_store, tmp_path):
    imported = make_proposer("file", file=write(tmp_path, [("elsewhere", 0, 0, 5, 5, 1)]))
    with pytest.raises(DataError, match="no boxes for 10 of 10 images"):
        make_store(proposer=imported, skip_bad=True)


def test_one_entry_for_two_images(make_store, records, rows, tmp_path):
    from dataclasses import replace

    twin = replace(records[0], image_id="twin", path=records[0].path.replace("pictures", "other"))
    imported = make_proposer("file", file=write(tmp_path, [*rows, ("000", 0, 0, 5, 5, 1)]))
    double = replace(records[0], image_id="also", path=records[0].path)
    with pytest.raises(DataError, match="the entry '000' fits two images"):
        make_store(use=[twin, double], proposer=imported)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("picture003", 0, 0, 30, 40, np.nan), "the score is not finite"),
        (("picture003", 0, 0, 30, 40, -1), "the score is negative"),
        (("picture003", 0, np.nan, 30, 40, 1), "a coordinate is not finite"),
        (("picture003", 30, 0, 30, 40, 1), "the box is inverted or empty"),
        (("picture003", 0, 0, 86, 40, 1), "the box leaves the image of 83 x 63 pixels"),
        (("picture003", -5, 0, 30, 40, 1), "the box leaves the image"),
        (("picture003", 83.2, 0, 83.9, 40, 1), "the box lies outside the image"),
    ],
)
def test_unusable_boxes_are_named(make_store, rows, tmp_path, row, message):
    with pytest.raises(DataError, match=rf"boxes\.npz, image 'picture003', box 3: {message}"):
        make_store(proposer=make_proposer("file", file=write(tmp_path, [*rows, row])))
    assert not (tmp_path / "store").exists()


def test_clipping_on_request(make_store, rows, tmp_path):
    file = write(tmp_path, [*rows, ("picture003", -5, 0, 99, 40, 1)])
    store = make_store(proposer=make_proposer("file", file=file, outside="clip"))
    np.testing.assert_array_equal(store["picture003"].boxes[0], [0, 0, 83, 40])


def test_rounding_is_cut_without_a_word(make_store, rows, tmp_path):
    file = write(tmp_path, [*rows, ("picture003", -0.5, 0, 83.5, 40, 1)])
    store = make_store(proposer=make_proposer("file", file=file))
    np.testing.assert_array_equal(store["picture003"].boxes[0], [0, 0, 83, 40])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs a file"),
        ({"file": "b.npz", "max_boxes": 0}, "max_boxes must be at least 1"),
        ({"file": "b.npz", "outside": "drop"}, "outside must be one of refuse, clip"),
    ],
)
def test_wrong_values(options, message):
    with pytest.raises(ConfigError, match=message):
        ImportedBoxes(**options)
