import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from proposal_pictures import image_of, picture

from boxless import proposals
from boxless.errors import BoxlessError, MissingExtraError, ShapeError
from boxless.metrics.boxes import iou
from boxless.proposals import opencv
from boxless.proposals.checks import check_proposals
from boxless.proposals.edge_box_search import EdgeBoxes, diverse_order
from boxless.proposals.grid import grid_boxes
from boxless.proposals.proposer import make_proposer
from boxless.types import Proposals


def check(image, boxes, scores):
    assert boxes.dtype == scores.dtype == np.float32
    check_proposals(Proposals(boxes, scores, image.shape[1], image.shape[0]), "picture")


@pytest.mark.parametrize("seed", range(3))
def test_finds_a_block_on_a_plain_ground(seed):
    image = np.full((150, 200, 3), 60, np.uint8)
    x, y = 40 + 20 * seed, 30 + 10 * seed
    image[y : y + 70, x : x + 60] = (200, 120, 40)
    boxes, scores = EdgeBoxes()(image)
    check(image, boxes, scores)
    overlap = iou(np.array([[x, y, x + 60, y + 70]], np.float32), boxes)[0]
    assert overlap[:10].max() > 0.75  # boxes lie a few pixels outside the contour


def test_boxes_are_in_pixels_of_the_image_given():
    image = np.full((300, 400, 3), 60, np.uint8)
    image[60:220, 80:220] = 200
    true = np.array([[80, 60, 220, 220]], np.float32)
    double = image.repeat(2, axis=0).repeat(2, axis=1)
    for pixels, box in ((image, true), (double, 2 * true)):
        boxes, _ = EdgeBoxes()(pixels)
        assert iou(box, boxes[:10]).max() > 0.75


def test_same_image_same_boxes():
    image, _ = picture(3)
    first, second = EdgeBoxes()(image), EdgeBoxes()(image.copy())
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 120),
    width=st.integers(1, 120),
    seed=st.integers(0, 99),
    kind=st.sampled_from(["noise", "flat", "step", "blocks"]),
    max_boxes=st.integers(1, 80),
)
def test_any_image_gets_usable_boxes(height, width, seed, kind, max_boxes):
    image = image_of(kind, height, width, seed)
    boxes, scores = EdgeBoxes(max_boxes=max_boxes, size=64)(image)
    check(image, boxes, scores)
    assert min(max_boxes, 50) <= len(boxes) <= max_boxes


def test_flat_image_gets_the_grid():
    image = np.full((90, 120, 3), 128, np.uint8)
    boxes, scores = EdgeBoxes()(image)
    np.testing.assert_array_equal(boxes, grid_boxes(120, 90, 50))
    np.testing.assert_array_equal(scores, 1)


def test_scores_that_are_not_finite_are_dropped(monkeypatch):
    class Search:
        def getBoundingBoxes(self, edges, angles):
            boxes = np.array([[0, 0, 60, 60], [30, 30, 50, 50], [10, 5, 40, 60]])
            return boxes, np.array([np.nan, 0.5, np.inf])

    monkeypatch.setattr(opencv.cv2.ximgproc, "createEdgeBoxes", lambda **_: Search())
    image, _ = picture(1, 200, 150)
    boxes, scores = EdgeBoxes()(image)
    check(image, boxes, scores)
    np.testing.assert_array_equal(boxes[0], [30, 30, 80, 80])
    assert len(boxes) == 50
    np.testing.assert_array_equal(scores, 0.5)  # the grid's share takes the lowest score found


def test_smallest_side():
    image, _ = picture(5, 300, 240)
    boxes, _ = EdgeBoxes(min_box_size=20)(image)
    assert (boxes[:, 2:] - boxes[:, :2]).min() >= 20
    boxes, _ = EdgeBoxes(min_box_size=20)(image[:48, :64])  # 20 would be too much to ask here
    assert 6 <= (boxes[:, 2:] - boxes[:, :2]).min() < 20


def test_diverse_order_takes_different_boxes_first():
    boxes = np.array(
        [[0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 7], [20, 20, 30, 30], [0, 0, 10, 10]], np.float32
    )
    np.testing.assert_array_equal(diverse_order(boxes, (0.5,), 9), [0, 3])
    # 0 and 2 overlap with .7, 1 and 2 with .78, 0 and 1 with .9
    np.testing.assert_array_equal(diverse_order(boxes, (0.5, 0.8), 9), [0, 3, 2])
    np.testing.assert_array_equal(diverse_order(boxes, (0.5, 0.8, 0.95), 9), [0, 3, 2, 1])
    np.testing.assert_array_equal(diverse_order(boxes, (0.5, 0.8), 2), [0, 3])
    assert len(diverse_order(boxes[:0], (0.5,), 3)) == 0


def test_settings_tell_all_that_boxes_depend_on():
    proposer = make_proposer("edge_boxes", max_boxes=70, size=128)
    assert proposer == EdgeBoxes(max_boxes=70, size=128)
    assert proposer.name == "edge_boxes"
    assert set(proposer.settings) == {"max_boxes", "size", "min_box_size", "step", "recipe"}
    assert (proposer.settings["max_boxes"], proposer.settings["size"]) == (70, 128)


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("edge_box", {}, "unknown proposal method 'edge_box'. Did you mean 'edge_boxes'"),
        ("grid", {"size": 3}, "unknown setting of grid 'size'"),
        ("grid", {"max_boxes": 0}, "max_boxes must be at least 1, found 0"),
        ("edge_boxes", {"size": 10}, r"size must be in \[32, 2048\], found 10"),
        ("edge_boxes", {"step": 0.95}, "step must be in"),
    ],
)
def test_wrong_names_and_values(method, options, message):
    with pytest.raises(BoxlessError, match=message):
        make_proposer(method, **options)


def test_opencv_without_its_contrib_part(monkeypatch):
    monkeypatch.delattr(opencv.cv2, "ximgproc")
    with pytest.raises(MissingExtraError, match="boxless\\[train\\]"):
        make_proposer("edge_boxes")


def test_without_opencv(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    monkeypatch.delitem(sys.modules, "boxless.proposals.edge_box_search")
    monkeypatch.delitem(sys.modules, "boxless.proposals.opencv")
    with pytest.raises(MissingExtraError, match="opencv-contrib"):
        make_proposer("edge_boxes")
    assert make_proposer("grid").name == "grid"


def test_function_is_the_proposer():
    image, _ = picture(3)
    found = proposals.edge_boxes(image, max_boxes=40)
    boxes, scores = EdgeBoxes(max_boxes=40)(image)
    np.testing.assert_array_equal(found.boxes, boxes)
    np.testing.assert_array_equal(found.scores, scores)
    assert (found.height, found.width) == image.shape[:2]
    pillow = proposals.edge_boxes(Image.fromarray(image), max_boxes=40)
    np.testing.assert_array_equal(pillow.boxes, boxes)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((20, 30), np.uint8),
        np.zeros((3, 20, 30), np.uint8),
        np.zeros((20, 30, 3), np.float32),
        np.zeros((0, 30, 3), np.uint8),
    ],
)
def test_function_refuses_other_images(image):
    with pytest.raises(ShapeError, match=r"image must be \(H, W, 3\) RGB of uint8"):
        proposals.edge_boxes(image)
