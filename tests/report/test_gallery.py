"""Regions are drawn where they are, and answers are judged right."""

import numpy as np
import pytest

from boxless.errors import ShapeError
from boxless.inference.labels import Label
from boxless.report.gallery import GalleryItem, draw_regions, jpeg_url, label_rows


def item(boxes, scores, size=(100, 200), **labels):
    return GalleryItem(
        image=np.zeros((*size, 3), np.uint8),
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        box_scores=np.array(scores, np.float32),
        truth=labels.get("truth", ()),
        before=labels.get("before", ()),
        after=labels.get("after", ()),
    )


def test_a_box_is_drawn_on_its_edges_only():
    drawn = np.asarray(draw_regions(item([[40, 30, 160, 90]], [1.0]))).sum(axis=2)
    rows, columns = np.nonzero(drawn)
    assert (columns.min(), columns.max() + 1) == (40, 160)
    assert (rows.min(), rows.max() + 1) == (30, 90)
    assert drawn[60, 100] == 0


def test_boxes_shrink_with_a_large_picture():
    drawn = np.asarray(draw_regions(item([[0, 0, 1120, 560]], [1.0], size=(560, 1120))))
    assert drawn.shape == (280, 560, 3)
    assert drawn[-1, -1].sum() > 0


def test_a_strong_box_is_brighter_than_a_weak_one():
    drawn = np.asarray(draw_regions(item([[10, 30, 60, 90], [110, 30, 190, 90]], [0.1, 1.0])))
    assert drawn[60, 110:120].max() > drawn[60, 10:20].max()


def test_only_the_ten_best_are_drawn():
    boxes = [[0, 0, 50, 50]] * 10 + [[100, 50, 190, 90]]
    drawn = np.asarray(draw_regions(item(boxes, [1.0] * 10 + [0.5])))
    assert drawn[:, 100:].sum() == 0


@pytest.mark.parametrize("scores", [[0.0, 0.0], [1e-9, 1e-12]])
def test_tiny_and_zero_scores_still_draw(scores):
    drawn = np.asarray(draw_regions(item([[10, 10, 50, 50], [60, 10, 90, 50]], scores)))
    assert drawn[30, 60:70].sum() > 0


def test_padding_is_not_drawn():
    padded = [[0, 0, 0, 0]] * 9 + [[60, 30, 160, 90]]
    drawn = np.asarray(draw_regions(item(padded, [0.0] * 9 + [0.4])))
    assert drawn[:20, :20].sum() == 0
    assert drawn[30:, 60:].sum() > 0


def test_tiny_boxes_and_no_boxes_do_not_fail():
    draw_regions(item([[199.6, 99.6, 200, 100], [0, 0, 1, 1]], [1.0, 0.5]))
    assert np.asarray(draw_regions(item([], []))).sum() == 0
    assert jpeg_url(draw_regions(item([], []))).startswith("data:image/jpeg;base64,")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": np.zeros((5, 5), np.uint8)}, r"\(H, W, 3\)"),
        ({"boxes": np.zeros((1, 5), np.float32)}, r"\(R, 4\)"),
        ({"box_scores": np.zeros(2, np.float32)}, "one score"),
    ],
)
def test_wrong_shapes_are_refused(change, message):
    fields = {
        "image": np.zeros((5, 5, 3), np.uint8),
        "boxes": np.zeros((1, 4), np.float32),
        "box_scores": np.zeros(1, np.float32),
    } | change
    with pytest.raises(ShapeError, match=message):
        draw_regions(GalleryItem(**fields, truth=(), before=(), after=()))


def test_answers_are_right_wrong_missed_or_absent():
    rows = label_rows(
        item(
            [], [],
            truth=("dog", "cat"),
            before=(Label("dog", 0.9), Label("car", 0.6)),
            after=(Label("cat", 0.7), Label("dog", 0.4), Label("car", 0.1)),
        )
    )  # fmt: skip
    marks = {row.name: (row.true, row.before.mark, row.after.mark) for row in rows}
    assert marks == {
        "cat": (True, "missed", "right"),
        "dog": (True, "right", "missed"),
        "car": (False, "wrong", "absent"),
    }
    assert [row.name for row in rows] == ["cat", "dog", "car"]
    assert rows[0].before.label is None
    assert all(row.telling for row in rows)


def test_answers_are_judged_at_each_label_s_own_threshold():
    said = (Label("dog", 0.2, 0.2), Label("cat", 0.6, 0.7), Label("car", 0.9, 0.95))
    rows = label_rows(item([], [], truth=("dog", "cat"), before=said, after=said))
    assert [(row.name, row.after.mark, row.telling) for row in rows] == [
        ("cat", "missed", False),
        ("dog", "right", True),
        ("car", "absent", False),
    ]
