from collections import deque
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from boxless.errors import ConfigError, NumericsError, ShapeError
from boxless.inference.location import (
    GRID,
    LocationSettings,
    connected_parts,
    heat_map,
    largest_part,
    locate,
    peak,
)

MASKS = arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9)))
MAPS = arrays(np.float32, (3, 4, 4), elements=st.floats(-8, 8, width=32))


def by_flooding(mask):
    """The same parts, found by flooding cell by cell."""
    seen, parts = set(), []
    for start in zip(*np.nonzero(mask), strict=True):
        if start in seen:
            continue
        part, queue = set(), deque([start])
        while queue:
            y, x = cell = queue.popleft()
            inside = 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1]
            if not inside or cell in part or not mask[cell]:
                continue
            part.add(cell)
            queue.extend([(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)])
        seen |= part
        ys, xs = zip(*part, strict=True)
        parts.append((min(xs), min(ys), max(xs) + 1, max(ys) + 1, len(part)))
    return parts


@given(MASKS)
def test_parts_are_those_that_flooding_finds(mask):
    assert sorted(connected_parts(mask)) == sorted(by_flooding(mask))


def test_parts_that_meet_late_are_one():
    mask = np.array([[1, 0, 1], [1, 0, 1], [1, 1, 1]], bool)
    assert connected_parts(mask) == [(0, 0, 3, 3, 7)]


def test_the_largest_part_wins():
    mask = np.array([[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 1], [0, 0, 0, 1]], bool)
    assert largest_part(mask) == (2, 2, 4, 4)
    with pytest.raises(ShapeError, match="no cell"):
        largest_part(np.zeros((2, 2), bool))


def test_heat_is_bilinear_between_the_middles_of_cells():
    heat = heat_map(np.array([[0, 1]], np.float32), (8, 2))
    # middles of the cells lie at x = 2 and 6; pixel x has its middle at x + 0.5
    expected = np.clip((np.arange(8) + 0.5 - 2) / 4, 0, 1)
    np.testing.assert_allclose(heat, np.stack([expected] * 2), atol=1e-6)
    assert heat.dtype == np.float32


def test_a_cell_that_looks_to_the_right_is_drawn_to_the_right():
    values = np.array([[0, 1, 0, 0]], np.float32)
    plain = heat_map(values, (64, 4))
    moved = heat_map(values, (64, 4), LocationSettings(shift=0.25))
    np.testing.assert_allclose(moved[:, 16:48], plain[:, :32], atol=1e-6)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (1, 2), (3, 3)])
def test_the_box_lies_round_the_strong_cell(row, column):
    maps = np.full((2, 4, 4), -3, np.float32)
    maps[1, row, column] = 5
    (box,) = locate(maps, (200, 100), [1], LocationSettings(share=0.5))
    x, y = (column + 0.5) * 50, (row + 0.5) * 25
    assert box.label == 1
    assert box.x1 < x < box.x2
    assert box.y1 < y < box.y2
    # half of the maximum is reached half a cell from the middle; against an edge nothing falls off
    pixels = (200 / GRID, 100 / GRID)
    assert box.x2 - box.x1 == pytest.approx(50, abs=2 * pixels[0])
    assert box.y2 - box.y1 == pytest.approx(25, abs=2 * pixels[1])


def test_the_score_is_the_probability():
    maps = np.random.default_rng(0).normal(size=(3, 4, 4)).astype(np.float32)
    scores = [box.score for box in locate(maps, (10, 10), [2, 0])]
    logits = maps.mean((1, 2))[[2, 0]]
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-logits)), rtol=1e-5)


def test_a_flat_map_gives_the_whole_image():
    (box,) = locate(np.ones((1, 4, 4), np.float32), (30, 20), [0])
    assert (box.x1, box.y1, box.x2, box.y2) == (0, 0, 30, 20)
    assert (heat_map(np.ones((4, 4), np.float32), (30, 20)) == 0).all()


@given(MAPS, st.integers(1, 500), st.integers(1, 500), st.floats(0.05, 0.95))
@settings(max_examples=40)
def test_boxes_lie_in_the_image(maps, width, height, share):
    for box in locate(maps, (width, height), [0, 1, 2], LocationSettings(share=share)):
        assert 0 <= box.x1 < box.x2 <= width
        assert 0 <= box.y1 < box.y2 <= height
        assert 0 <= box.score <= 1


@given(MAPS, st.floats(0.25, 4), st.floats(-5, 5))
@settings(max_examples=40)
def test_scale_and_offset_of_a_map_do_not_matter(maps, scale, offset):
    values = maps[0].astype(np.float64)
    if np.ptp(values) < 1e-2:
        return
    other = heat_map(values * scale + offset, (20, 30))
    np.testing.assert_allclose(other, heat_map(values, (20, 30)), atol=1e-5)


@given(MAPS)
@settings(max_examples=40)
def test_mirrored_maps_give_mirrored_heat(maps):
    heat, mirrored = heat_map(maps[0], (37, 23)), heat_map(maps[0][:, ::-1], (37, 23))
    np.testing.assert_allclose(mirrored, heat[:, ::-1], atol=1e-5)


def test_wrong_input_is_named():
    good = np.zeros((2, 4, 4), np.float32)
    with pytest.raises(ShapeError, match=r"\(K, h, w\)"):
        locate(good[0], (4, 4), [0])
    with pytest.raises(ShapeError, match="outside 0 to 1"):
        locate(good, (4, 4), [2])
    with pytest.raises(ShapeError, match="width 0"):
        locate(good, (0, 4), [0])
    with pytest.raises(NumericsError):
        heat_map(np.full((2, 2), np.nan, np.float32), (4, 4))
    for wrong in ({"share": 0.0}, {"share": 1.0}, {"shift": 1.0}, {"method": "magic"}):
        with pytest.raises(ConfigError):
            LocationSettings(**wrong)


def test_what_every_image_shows_is_taken_off():
    corners = np.array([[4, 0, 0, 4], [0, 0, 0, 0], [0, 0, 0, 0], [4, 0, 0, 4]], np.float32)
    thing = np.zeros((4, 4), np.float32)
    thing[1, 2] = 2
    background = tuple(tuple(row) for row in corners.tolist())
    plain, above = LocationSettings(), LocationSettings(background=background)
    assert peak(corners + thing, (40, 80), plain) == (5, 10)
    assert peak(corners + thing, (40, 80), above) == (25, 30)
    np.testing.assert_allclose(
        heat_map(corners + thing, (40, 80), above), heat_map(thing, (40, 80)), atol=1e-6
    )
    (box,) = locate((corners + thing)[None], (40, 80), [0], above)
    assert box == replace(locate(thing[None], (40, 80), [0])[0], score=box.score)
    with pytest.raises(ShapeError, match="background"):
        peak(thing[:2], (40, 80), above)
    for wrong in (((1.0, 2.0), (1.0,)), ((float("nan"),),)):
        with pytest.raises(ConfigError, match="background"):
            LocationSettings(background=wrong)


@given(MAPS, st.floats(-0.4, 0.4))
@settings(max_examples=40)
def test_the_peak_lies_in_the_image_and_moves_with_the_shift(maps, shift):
    x, y = peak(maps[0], (100, 60), LocationSettings(shift=shift))
    plain_x, plain_y = peak(maps[0], (100, 60))
    assert (x, y) == pytest.approx(
        (np.clip(plain_x + 100 * shift, 0, 100), np.clip(plain_y + 60 * shift, 0, 60))
    )
