import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from proposal_pictures import image_of, picture

from boxless.errors import BoxlessError, MissingExtraError
from boxless.metrics.boxes import iou
from boxless.proposals.checks import check_proposals
from boxless.proposals.grid import grid_boxes
from boxless.proposals.proposer import make_proposer
from boxless.proposals.selective_search import SelectiveSearch, uijlings_order
from boxless.types import Proposals


def check(image, boxes, scores):
    assert boxes.dtype == scores.dtype == np.float32
    check_proposals(Proposals(boxes, scores, image.shape[1], image.shape[0]), "picture")


@pytest.mark.parametrize("mode", ["fast", "quality"])
def test_finds_a_block_in_pixels_of_the_image_given(mode):
    image = np.full((300, 400, 3), 60, np.uint8)
    image[60:220, 80:220] = (200, 120, 40)
    true = np.array([[80, 60, 220, 220]], np.float32)
    double = image.repeat(2, axis=0).repeat(2, axis=1)
    for pixels, box in ((image, true), (double, 2 * true)):
        boxes, scores = SelectiveSearch(mode, size=100)(pixels)
        check(pixels, boxes, scores)
        assert iou(box, boxes).max() > 0.85


def test_same_image_same_boxes_although_the_library_draws_at_random():
    image, _ = picture(3)
    first, second = SelectiveSearch(size=96)(image), SelectiveSearch(size=96)(image.copy())
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


def test_scores_come_from_the_rank():
    image, _ = picture(4, 200, 150)
    _, scores = SelectiveSearch(size=100, max_boxes=8)(image)
    np.testing.assert_allclose(scores, np.arange(8, 0, -1) / 8)


@settings(max_examples=25, deadline=None)
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    seed=st.integers(0, 99),
    kind=st.sampled_from(["noise", "flat", "step"]),
    max_boxes=st.integers(1, 80),
)
def test_any_image_gets_usable_boxes(height, width, seed, kind, max_boxes):
    image = image_of(kind, height, width, seed)
    boxes, scores = SelectiveSearch(max_boxes=max_boxes, size=40)(image)
    check(image, boxes, scores)
    assert min(max_boxes, 50) <= len(boxes) <= max_boxes


@pytest.mark.parametrize("mode", ["fast", "quality"])
def test_flat_image_gets_the_grid(mode):
    boxes, scores = SelectiveSearch(mode, size=48)(np.full((90, 120, 3), 128, np.uint8))
    np.testing.assert_array_equal(boxes, grid_boxes(120, 90, 50))
    np.testing.assert_array_equal(scores, 1)


def test_order_favours_large_boxes_and_knows_only_the_seed():
    random = np.random.default_rng(0)
    sides = random.permutation(np.arange(1, 201)).astype(np.float32)
    boxes = np.stack([0 * sides, 0 * sides, sides, sides], axis=1)
    order = uijlings_order(boxes, 0)
    assert sorted(order) == list(range(200))
    assert sides[order[:50]].mean() > sides[order[-50:]].mean() + 50
    shuffled = random.permutation(200)
    again = boxes[shuffled][uijlings_order(boxes[shuffled], 0)]
    np.testing.assert_array_equal(again, boxes[order])
    assert not np.array_equal(uijlings_order(boxes, 1), order)


def test_settings_tell_all_that_boxes_depend_on():
    proposer = make_proposer("selective_search_quality", max_boxes=70, size=128)
    assert proposer == SelectiveSearch("quality", max_boxes=70, size=128)
    assert proposer.name == "selective_search_quality"
    names = {"mode", "max_boxes", "size", "min_box_size", "seed", "recipe"}
    assert set(proposer.settings) == names


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("selective_search", {}, "Did you mean 'selective_search_fast'"),
        ("selective_search_fast", {"mode": "quality"}, "unknown setting of selective_search_fast"),
        ("selective_search_fast", {"size": 2000}, r"size must be in \[32, 1024\], found 2000"),
    ],
)
def test_wrong_names_and_values(method, options, message):
    with pytest.raises(BoxlessError, match=message):
        make_proposer(method, **options)


def test_without_opencv(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    monkeypatch.delitem(sys.modules, "boxless.proposals.selective_search")
    monkeypatch.delitem(sys.modules, "boxless.proposals.opencv")
    with pytest.raises(MissingExtraError, match="opencv-contrib"):
        make_proposer("selective_search_fast")
