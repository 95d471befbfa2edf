import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxless.errors import DataError
from boxless.proposals.list_boxes import format_boxes, parse_boxes
from boxless.types import Proposals


def parse(text, width=336, height=672):
    return parse_boxes(text.split(), width, height, source="train.txt:7")


def test_convention_last_pixel_is_included_and_the_frame_is_672():
    found = parse("0 0 671 671 0.5 2 4 2 4 0.25")
    assert found.boxes.tolist() == [[0, 0, 336, 672], [1, 4, 1.5, 5]]
    assert found.scores.tolist() == [0.5, 0.25]
    assert (found.width, found.height) == (336, 672)
    other = parse_boxes(["0", "0", "9", "4", "1"], 20, 20, source="", frame=10)
    assert other.boxes.tolist() == [[0, 0, 20, 10]]


def test_filling_is_added_and_taken_off():
    found = parse("0 0 671 671 0.5 0 0 0 0 0 1 1 2 2 0 0 0 0 0 0 0 0 0 0 0")
    assert len(found) == 3  # only what fills up the end
    assert format_boxes(found, 5) == "0 0 671 671 0.5 0 0 0 0 0 1 1 2 2 0 0 0 0 0 0 0 0 0 0 0"
    assert format_boxes(found, 1) == "0 0 671 671 0.5"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("0 0 671 671 x", "train.txt:7: expected five numbers per box.*'x'"),
        ("0 0 671 671 nan", "box 1: expected finite numbers"),
        ("1 1 2 2 1 5 5 3 6 1", "box 2: expected 0 <= x_min <= x_max <= 671.*found 5 5 3 6 1"),
        ("1 1 672 2 1", "box 1: expected 0 <= x_min"),
        ("-1 1 2 2 1", "box 1: expected 0 <= x_min"),
        ("1 1 2 2 -0.5", "a score >= 0, found 1 1 2 2 -0.5"),
        ("0 0 0 0 0", "at least one box, found none"),
        ("", "at least one box, found none"),
    ],
)
def test_bad_boxes_are_named(text, told):
    with pytest.raises(DataError, match=told):
        parse(text)


SIDES = st.integers(1, 4000)
PIXEL = st.integers(0, 671)


@st.composite
def lines(draw):
    boxes = draw(st.lists(st.tuples(PIXEL, PIXEL, PIXEL, PIXEL), min_size=1, max_size=8))
    words = []
    for a, b, c, d in boxes:
        score = draw(st.integers(1, 10**6)) / 10**6
        words += [*map(str, (min(a, c), min(b, d), max(a, c), max(b, d))), f"{score:g}"]
    return words


@settings(max_examples=100, deadline=None)
@given(lines(), SIDES, SIDES)
def test_law_a_list_comes_back_byte_for_byte(words, width, height):
    found = parse_boxes(words, width, height, source="")
    assert format_boxes(found, len(words) // 5) == " ".join(
        word if "e" not in word else repr(float(word)) for word in words
    )


@settings(max_examples=100, deadline=None)
@given(SIDES, SIDES, st.integers(0, 2**32 - 1))
def test_law_proposals_come_back_bit_for_bit(width, height, seed):
    rng = np.random.default_rng(seed)
    corners = np.sort(rng.random((6, 2, 2)), axis=1).reshape(6, 4)
    boxes = (corners * [width, height, width, height]).astype(np.float32)
    boxes[0] = (0, 0, width, height)
    boxes[:, 2:] = np.maximum(boxes[:, 2:], np.nextafter(boxes[:, :2], np.float32(np.inf)))
    scores = (10.0 ** rng.uniform(-9, 1, 6)).astype(np.float32)
    before = Proposals(boxes, scores, width, height)
    after = parse_boxes(format_boxes(before, 9).split(), width, height, source="")
    assert after.boxes.tobytes() == before.boxes.tobytes()
    assert after.scores.tobytes() == before.scores.tobytes()
