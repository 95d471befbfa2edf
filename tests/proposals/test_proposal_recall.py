import numpy as np
import pytest

from boxless.errors import DataError, StoreError
from boxless.proposals.index import StoreInputs
from boxless.proposals.recall import random_boxes, recall_rows, recall_table
from boxless.proposals.writer import ProposalWriter
from boxless.types import ImageRecord, Proposals, TrueBox


def record(image_id, *boxes):
    return ImageRecord(image_id, image_id, "train", (1,), boxes=boxes or None)


A = record(
    "a",
    TrueBox(0, (0, 0, 10, 10)),
    TrueBox(0, (50, 50, 70, 70)),
    TrueBox(0, (80, 80, 90, 90), difficult=True),
)
B = record("b", TrueBox(0, (0, 0, 100, 100)))
C = record("c")
BOXES = {
    # IoU with the first object: .6, then 1; with the second: 0, 0, .5
    "a": [[0, 0, 10, 6], [0, 0, 10, 10], [50, 50, 70, 60]],
    "b": [[0, 0, 10, 10], [0, 0, 100, 70]],  # .01, .7
    "c": [[0, 0, 1, 1]],
}


@pytest.fixture
def store(tmp_path):
    writer = ProposalWriter(
        tmp_path / "store", StoreInputs("hand", {}, "m", 8, ("a", "b", "c", "d"))
    )
    found = [
        (name, Proposals(np.array(boxes, np.float32), np.ones(len(boxes), np.float32), 100, 100))
        for name, boxes in BOXES.items()
    ]
    writer.write_shard(0, found, skipped=(("d", "torn"),))
    return writer.finish()


def test_recall_by_hand(store):
    table = recall_table(store, [A, B, C], ious=(0.5, 0.7), counts=(1, 2, 3, 99))
    assert (table.objects, table.images) == (3, 2)
    half, strict = (row for row in table.rows if row.name == "hand")
    assert half.recalls == pytest.approx((1 / 3, 2 / 3, 1, 1))
    assert strict.recalls == pytest.approx((0, 2 / 3, 2 / 3, 2 / 3))
    assert table.recall("hand", 0.7, 2) == pytest.approx(2 / 3)


def test_random_row_is_there_and_repeats(store):
    table = recall_table(store, [A, B])
    assert [(row.name, row.iou) for row in table.rows] == [
        ("hand", 0.5),
        ("hand", 0.7),
        ("random", 0.5),
        ("random", 0.7),
    ]
    assert recall_table(store, [A, B]) == table
    assert 0 < table.recall("random", 0.5, 500) <= 1


def test_skipped_images_do_not_count_but_unknown_ones_are_errors(store):
    box = TrueBox(0, (0, 0, 10, 10))
    assert recall_table(store, [A, record("d", box)]).images == 1
    with pytest.raises(StoreError, match="'e'"):
        recall_table(store, [A, record("e", box)])


def test_no_true_boxes(store):
    difficult = record("b", TrueBox(0, (0, 0, 10, 10), difficult=True))
    with pytest.raises(DataError, match="found none in 2 images"):
        recall_rows("hand", lambda _: np.zeros((1, 4), np.float32), [C, difficult])
    with pytest.raises(DataError, match="found none"):
        recall_table(store, [C])


def test_random_boxes():
    boxes = random_boxes(200, 100, 2000, "seed")
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    assert boxes.min() >= 0
    assert boxes[:, 2].max() <= 200
    assert boxes[:, 3].max() <= 100
    # corners are uniform, so sides average a third of the image
    np.testing.assert_allclose((boxes[:, 2:] - boxes[:, :2]).mean(0), [200 / 3, 100 / 3], rtol=0.05)
    np.testing.assert_array_equal(boxes, random_boxes(200, 100, 2000, "seed"))
    assert not np.array_equal(boxes, random_boxes(200, 100, 2000, "other seed"))
