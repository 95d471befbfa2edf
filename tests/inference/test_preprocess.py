import numpy as np
import pytest
from PIL import Image

from boxless.data.resize import resize_square
from boxless.errors import ShapeError
from boxless.inference.predictor import Predictor
from boxless.inference.preprocess import normalise

PICTURE = np.random.default_rng(0).integers(0, 256, (23, 41, 3), dtype=np.uint8)


def test_training_and_prediction_share_the_function(student):
    prepared = Predictor.load(student).prepare(PICTURE)
    np.testing.assert_array_equal(prepared.pixels, resize_square(PICTURE, 8, antialias=True))
    assert (prepared.width, prepared.height) == (41, 23)


def test_antialiased_is_pillow():
    expected = np.asarray(Image.fromarray(PICTURE).resize((10, 10), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(resize_square(PICTURE, 10), expected)


@pytest.mark.parametrize("size", [10, 60])
def test_plain_bilinear_by_hand(size):
    # centres of target pixels, four neighbours, edges repeated
    H, W = PICTURE.shape[:2]
    y, x = ((np.arange(size) + 0.5) * n / size - 0.5 for n in (H, W))
    y0, x0 = np.floor(y).astype(int), np.floor(x).astype(int)
    fy, fx = (y - y0)[:, None, None], (x - x0)[None, :, None]

    def at(rows, columns):
        return PICTURE[np.clip(rows, 0, H - 1)][:, np.clip(columns, 0, W - 1)].astype(float)

    top = at(y0, x0) * (1 - fx) + at(y0, x0 + 1) * fx
    bottom = at(y0 + 1, x0) * (1 - fx) + at(y0 + 1, x0 + 1) * fx
    expected = top * (1 - fy) + bottom * fy
    found = resize_square(PICTURE, size, antialias=False).astype(float)
    assert np.abs(found - expected).max() <= 1


def test_antialias_matters_when_shrinking():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    smooth = resize_square(stripes, 8)
    assert np.abs(smooth.astype(int) - 127).max() < 8


def test_right_size_is_left_alone():
    square = PICTURE[:20, :20].copy()
    np.testing.assert_array_equal(resize_square(square, 20), square)


def test_crops_and_mirrored_views_are_taken():
    expected = resize_square(np.ascontiguousarray(PICTURE[3:, ::-1]), 9)
    np.testing.assert_array_equal(resize_square(PICTURE[3:, ::-1], 9), expected)


@pytest.mark.parametrize(
    "wrong", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)]
)
def test_no_image(wrong):
    with pytest.raises(ShapeError, match="uint8"):
        resize_square(wrong, 8)


def test_normalise_by_hand():
    images = PICTURE[None, :8, :8]
    mean, std = (1.0, 2.0, 3.0), (2.0, 4.0, 8.0)
    rgb = normalise(images, mean, std)
    assert rgb.shape == (1, 3, 8, 8)
    assert rgb.dtype == np.float32
    assert rgb.flags.c_contiguous
    assert rgb[0, 2, 5, 6] == pytest.approx((float(PICTURE[5, 6, 2]) - 3) / 8)
    bgr = normalise(images, mean, std, channels="BGR")
    assert bgr[0, 2, 5, 6] == pytest.approx((float(PICTURE[5, 6, 0]) - 3) / 8)


def test_normalise_refuses_other_shapes():
    with pytest.raises(ShapeError):
        normalise(PICTURE, (0, 0, 0), (1, 1, 1))
