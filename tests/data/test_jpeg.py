"""JPEGs decoded directly are those that Pillow decodes: whole, odd and damaged."""

import io
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from boxless.data import images, jpeg
from boxless.data.images import load_image
from boxless.errors import DataError

pytest.importorskip("simplejpeg")


def by_pillow(path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "decode_plain_jpeg", lambda _: None)
        return load_image(path)


def decoded_directly(path):
    with Image.open(path) as image:
        return jpeg.decode_plain_jpeg(image)


def noise(height, width, channels=3):
    rng = np.random.default_rng(height * width)
    smooth = np.add.outer(np.arange(height), np.arange(width))[..., None] % 256
    values = 0.7 * smooth + 0.3 * rng.integers(0, 256, (height, width, channels))
    return values.astype(np.uint8).squeeze()


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (37, 61), (240, 100)])
def test_same_pixels(tmp_path, subsampling, progressive, size):
    path = str(tmp_path / "x.jpg")
    Image.fromarray(noise(*size).reshape(*size, 3)).save(
        path, quality=83, subsampling=subsampling, progressive=progressive
    )
    assert decoded_directly(path) is not None
    np.testing.assert_array_equal(load_image(path), by_pillow(path))
    assert load_image(path).flags.writeable


def test_photographs(data_root):
    folder = data_root / "voc-mini" / "VOCdevkit" / "VOC2007" / "JPEGImages"
    for path in map(str, sorted(folder.glob("*.jpg"))[::40]):
        assert decoded_directly(path) is not None
        np.testing.assert_array_equal(load_image(path), by_pillow(path))


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_other_modes_are_left_to_pillow(tmp_path, mode):
    path = str(tmp_path / "x.jpg")
    Image.fromarray(noise(40, 50)).convert(mode).save(path)
    assert decoded_directly(path) is None
    np.testing.assert_array_equal(load_image(path), by_pillow(path))


def test_rgb_without_colour_transform(tmp_path):
    path = str(tmp_path / "x.jpg")
    Image.fromarray(noise(40, 50)).save(path, keep_rgb=True)
    np.testing.assert_array_equal(load_image(path), by_pillow(path))


def test_without_the_library(tmp_path, monkeypatch):
    path = str(tmp_path / "x.jpg")
    Image.fromarray(noise(40, 50)).save(path)
    monkeypatch.setattr(jpeg, "_simplejpeg", lambda: None)
    assert decoded_directly(path) is None
    assert load_image(path).shape == (40, 50, 3)


def answer(load, path):
    try:
        return load(path).tobytes()
    except DataError as error:
        return error.message


@given(data=st.data())
def test_damaged_files_mean_what_they_mean_to_pillow(tmp_path_factory, data):
    file = io.BytesIO()
    progressive = data.draw(st.booleans())
    Image.fromarray(noise(33, 48)).save(file, "JPEG", progressive=progressive)
    content = bytearray(file.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    del content[data.draw(st.integers(len(content) // 2, len(content))) :]
    path = tmp_path_factory.mktemp("damaged") / "x.jpg"
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of strange EXIF
        assert answer(load_image, str(path)) == answer(by_pillow, str(path))
