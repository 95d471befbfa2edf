"""Laws of box arithmetic, and agreement with torchvision."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from boxless.metrics.boxes import area, clip, iou, rescale

WIDTH, HEIGHT = 64, 48


@st.composite
def boxes(draw, smallest=0):
    """Up to 12 boxes with corners on a quarter-pixel lattice, so sums are exact in float32."""
    count = draw(st.integers(smallest, 12))
    rows = []
    for _ in range(count):
        x = sorted(draw(st.lists(st.integers(0, 4 * WIDTH), min_size=2, max_size=2, unique=True)))
        y = sorted(draw(st.lists(st.integers(0, 4 * HEIGHT), min_size=2, max_size=2, unique=True)))
        rows.append((x[0] / 4, y[0] / 4, x[1] / 4, y[1] / 4))
    return np.array(rows, np.float32).reshape(-1, 4)


def test_by_hand():
    first = np.array([[0, 0, 10, 10]], np.float32)
    second = np.array(
        [[5, 5, 15, 15], [0, 0, 10, 5], [20, 20, 30, 30], [10, 0, 20, 10]], np.float32
    )
    np.testing.assert_allclose(iou(first, second), [[25 / 175, 0.5, 0, 0]], rtol=1e-6)
    np.testing.assert_array_equal(area(second), [100, 50, 100, 100])


def test_convention_whole_image_has_area_width_times_height():
    assert area(np.array([[0, 0, WIDTH, HEIGHT]], np.float32))[0] == WIDTH * HEIGHT


def test_empty_and_inverted_boxes():
    odd = np.array([[5, 5, 5, 5], [9, 9, 3, 3]], np.float32)
    np.testing.assert_array_equal(area(odd), 0)
    np.testing.assert_array_equal(iou(odd, odd), 0)
    assert iou(odd[:0], odd).shape == (0, 2)


@settings(deadline=None, max_examples=50)
@given(boxes(), boxes())
def test_iou_is_symmetric_and_between_0_and_1(first, second):
    overlap = iou(first, second)
    np.testing.assert_allclose(overlap, iou(second, first).T, rtol=1e-6)
    assert overlap.shape == (len(first), len(second))
    assert ((overlap >= 0) & (overlap <= 1)).all()


@settings(deadline=None, max_examples=50)
@given(boxes(smallest=1))
def test_a_box_is_its_own_best_match(some):
    overlap = iou(some, some)
    np.testing.assert_array_equal(np.diag(overlap), 1)
    same = (some[:, None] == some[None]).all(2)
    assert (overlap[~same] < 1).all()


@settings(deadline=None, max_examples=50)
@given(boxes(), st.sampled_from([0.25, 0.5, 2.0, 8.0]), st.sampled_from([0.5, 4.0]))
def test_rescaling(some, scale_x, scale_y):
    scaled = rescale(some, scale_x, scale_y)
    np.testing.assert_array_equal(rescale(scaled, 1 / scale_x, 1 / scale_y), some)
    np.testing.assert_allclose(area(scaled), area(some) * scale_x * scale_y, rtol=1e-6)
    np.testing.assert_allclose(iou(scaled, scaled), iou(some, some), rtol=1e-5)


@settings(deadline=None, max_examples=50)
@given(boxes(), st.floats(-40, 40), st.floats(-40, 40))
def test_clipping(some, move_x, move_y):
    moved = some + np.array([move_x, move_y, move_x, move_y], np.float32)
    inside = clip(moved, WIDTH, HEIGHT)
    assert (inside >= 0).all()
    assert (inside <= [WIDTH, HEIGHT, WIDTH, HEIGHT]).all()
    assert (area(inside) <= area(moved) * (1 + 1e-5)).all()
    np.testing.assert_array_equal(clip(inside, WIDTH, HEIGHT), inside)
    np.testing.assert_array_equal(clip(some, WIDTH, HEIGHT), some)
