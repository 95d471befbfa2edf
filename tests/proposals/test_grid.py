import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxless.metrics.boxes import iou
from boxless.proposals.checks import check_proposals
from boxless.proposals.grid import Grid, grid_boxes
from boxless.types import Proposals


@settings(max_examples=30, deadline=None)
@given(width=st.integers(1, 3000), height=st.integers(1, 3000), count=st.integers(1, 700))
def test_always_the_same_number_of_usable_boxes(width, height, count):
    image = np.broadcast_to(np.uint8(0), (height, width, 3))
    boxes, scores = Grid(max_boxes=count)(image)
    assert len(boxes) == count
    check_proposals(Proposals(boxes, scores, width, height), "grid")
    np.testing.assert_array_equal(boxes[0], [0, 0, width, height])
    np.testing.assert_array_equal(scores, 1)


def test_fewer_boxes_are_a_prefix():
    np.testing.assert_array_equal(grid_boxes(64, 48, 40), grid_boxes(64, 48, 200)[:40])


def test_no_box_twice():
    boxes = grid_boxes(640, 480, 500)
    assert len(np.unique(boxes, axis=0)) == 500


@pytest.mark.parametrize("side", [0.9, 0.6, 0.4])
def test_every_middling_square_is_covered(side):
    """Any square of that side overlaps some box with at least half."""
    starts = np.linspace(0, 1 - side, 9) * 100
    squares = np.array(
        [[x, y, x + 100 * side, y + 100 * side] for x in starts for y in starts], np.float32
    )
    assert iou(squares, grid_boxes(100, 100, 500)).max(axis=1).min() >= 0.5
