"""Views: laws of windows, and pixels and boxes that move together."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxless.data.resize import resize_square
from boxless.training.views import CROP_ASPECT, WHOLE, View, draw_view, view_boxes, view_pixels

SEEDS = st.integers(0, 100_000)


def boxes_of(seed, count=8):
    rng = np.random.default_rng(seed)
    low = rng.random((count, 2)) * 0.7
    return np.concatenate([low, low + 0.05 + 0.25 * rng.random((count, 2))], 1).astype(np.float32)


@settings(deadline=None, max_examples=150)
@given(SEEDS, st.floats(0, 0.95), st.booleans())
def test_windows_lie_inside_and_keep_enough(seed, crop, mirror):
    view = draw_view(seed=seed, epoch=seed % 7, index=seed % 11, mirror=mirror, crop=crop)
    x1, y1, x2, y2 = view.window
    assert 0 <= x1 < x2 <= 1 + 1e-12
    assert 0 <= y1 < y2 <= 1 + 1e-12
    width, height = x2 - x1, y2 - y1
    assert width * height >= (1 - crop) * (1 - 1e-9)
    assert 1 / CROP_ASPECT - 1e-9 <= width / height <= CROP_ASPECT + 1e-9
    assert mirror or not view.mirrored


def test_views_depend_on_seed_epoch_and_image_alone():
    def draw(**changed):
        return draw_view(
            **{"seed": 1, "epoch": 2, "index": 3, "mirror": True, "crop": 0.5, **changed}
        )

    assert draw() == draw()
    assert (
        len({draw().window, draw(seed=2).window, draw(epoch=3).window, draw(index=4).window}) == 4
    )


def test_half_of_the_views_are_mirrored():
    views = [draw_view(seed=0, epoch=0, index=i, mirror=True, crop=0) for i in range(400)]
    assert 150 < sum(v.mirrored for v in views) < 250
    assert all(v.window == WHOLE.window for v in views)


@settings(deadline=None, max_examples=50)
@given(SEEDS)
def test_whole_view_changes_no_box_and_mirroring_twice_neither(seed):
    boxes = boxes_of(seed)
    np.testing.assert_array_equal(view_boxes(boxes, WHOLE), boxes)
    turned = View(mirrored=True)
    np.testing.assert_allclose(view_boxes(view_boxes(boxes, turned), turned), boxes, atol=2e-7)


@settings(deadline=None, max_examples=50)
@given(SEEDS)
def test_a_box_equal_to_the_window_becomes_the_whole_view(seed):
    view = draw_view(seed=seed, epoch=0, index=0, mirror=True, crop=0.8)
    found = view_boxes(np.array([view.window], np.float32), view)
    np.testing.assert_allclose(found, [[0, 0, 1, 1]], atol=1e-5)


@settings(deadline=None, max_examples=50)
@given(SEEDS)
def test_mirroring_comes_after_cropping(seed):
    view = draw_view(seed=seed, epoch=0, index=0, mirror=False, crop=0.8)
    boxes = boxes_of(seed)
    plain = view_boxes(boxes, view)
    turned = view_boxes(boxes, View(view.window, mirrored=True))
    np.testing.assert_allclose(turned, view_boxes(plain, View(mirrored=True)), atol=1e-6)
    assert (turned[:, 2] > turned[:, 0]).all()


@pytest.mark.parametrize("mirrored", [False, True])
def test_convention_pixels_and_boxes_move_together(mirrored):
    """A white rectangle is found again where its box says, in a cropped and mirrored view."""
    image = np.zeros((80, 120, 3), np.uint8)
    image[20:50, 30:80] = 255
    box = np.array([[30 / 120, 20 / 80, 80 / 120, 50 / 80]], np.float32)
    view = View((0.1, 0.15, 0.9, 0.8), mirrored)
    size = 160
    pixels = view_pixels(image, view, size)[..., 0] > 127
    x1, y1, x2, y2 = (view_boxes(box, view)[0] * size).tolist()
    rows, columns = np.nonzero(pixels.any(1))[0], np.nonzero(pixels.any(0))[0]
    found = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    np.testing.assert_allclose(found, (x1, y1, x2, y2), atol=1.5)


@settings(deadline=None, max_examples=60)
@given(SEEDS, st.integers(1, 6), st.integers(1, 6))
def test_tiny_images_have_views(seed, height, width):
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    view = draw_view(seed=seed, epoch=0, index=0, mirror=True, crop=0.95)
    assert view_pixels(image, view, 8).shape == (8, 8, 3)


def test_whole_view_at_its_own_size_is_the_image():
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    np.testing.assert_array_equal(view_pixels(image, WHOLE, 16), image)
    np.testing.assert_array_equal(view_pixels(image, View(mirrored=True), 16), image[:, ::-1])


def test_a_crop_is_resized_as_for_predictions_up_to_rounding():
    image = np.random.default_rng(0).integers(0, 256, (120, 90, 3), np.uint8)
    window = (10 / 90, 20 / 120, 80 / 90, 110 / 120)
    for size in (32, 64, 150):
        found = view_pixels(image, View(window), size).astype(int)
        expected = resize_square(image[20:110, 10:80], size).astype(int)
        assert np.abs(found - expected).max() <= 1
        mirrored = view_pixels(image, View(window, mirrored=True), size)
        np.testing.assert_array_equal(mirrored, found[:, ::-1])
