import struct
import warnings
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from PIL import Image

from boxless.data import images
from boxless.data.images import find_bad_images, image_size, load_image
from boxless.errors import DataError
from boxless.types import ImageRecord

# Grey levels in the corners of a 6 x 4 picture, as top-left, top-right, bottom-left, bottom-right.
CORNERS = (10, 80, 160, 240)
# EXIF 2.3, tag 274: where the stored row 0 / column 0 lie in the upright picture, as the corner
# order one sees after turning it upright.
UPRIGHT = {
    1: (10, 80, 160, 240),
    2: (80, 10, 240, 160),
    3: (240, 160, 80, 10),
    4: (160, 240, 10, 80),
    5: (10, 160, 80, 240),
    6: (160, 10, 240, 80),
    7: (240, 80, 160, 10),
    8: (80, 240, 10, 160),
}


def corner_picture():
    pixels = np.zeros((32, 48), np.uint8)
    pixels[:16, :24], pixels[:16, 24:], pixels[16:, :24], pixels[16:, 24:] = CORNERS
    return Image.fromarray(pixels)


def corners(array):
    return tuple(int(array[y, x, 0]) for y in (0, -1) for x in (0, -1))


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
@pytest.mark.parametrize("orientation", list(UPRIGHT))
def test_exif_orientation_is_undone(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"x.{suffix}"
    corner_picture().convert("RGB").save(path, exif=exif, quality=100)
    upright = load_image(str(path))
    assert np.abs(np.subtract(corners(upright), UPRIGHT[orientation])).max() <= 6
    assert upright.shape == ((32, 48, 3) if orientation < 5 else (48, 32, 3))
    assert image_size(str(path)) == upright.shape[1::-1]


def test_array_is_own_and_writable(tmp_path):
    path = tmp_path / "x.png"
    corner_picture().convert("RGB").save(path)
    array = load_image(str(path))
    assert array.dtype == np.uint8
    array[0, 0] = 7
    assert load_image(str(path))[0, 0, 0] == 10


@pytest.mark.parametrize(
    ("mode", "colour", "suffix", "expected"),
    [
        ("L", 200, "png", (200, 200, 200)),
        ("1", 1, "png", (255, 255, 255)),
        ("P", (10, 200, 30), "png", (10, 200, 30)),
        ("LA", (40, 0), "png", (255, 255, 255)),
        ("LA", (40, 255), "png", (40, 40, 40)),
        ("RGBA", (255, 0, 0, 0), "png", (255, 255, 255)),
        ("RGBA", (0, 0, 0, 102), "png", (153, 153, 153)),
        ("CMYK", (0, 255, 255, 0), "jpg", (254, 0, 0)),
        ("CMYK", (0, 0, 0, 255), "tiff", (0, 0, 0)),
        ("YCbCr", (76, 85, 255), "jpg", (254, 0, 0)),
        ("LAB", (255, 128, 128), "tiff", (255, 255, 255)),
        ("I;16", 257 * 100, "png", (100, 100, 100)),
        ("I;16", 257 * 100, "tiff", (100, 100, 100)),
        ("I", 257 * 255, "tiff", (255, 255, 255)),
        ("F", 0.2, "tiff", (51, 51, 51)),
        ("F", 99.0, "tiff", (99, 99, 99)),
    ],
)
def test_every_mode_becomes_rgb(tmp_path, mode, colour, suffix, expected):
    if mode == "P":
        picture = Image.new("RGB", (9, 5), colour).quantize(4)
    elif mode == "LAB":
        picture = Image.frombytes("LAB", (9, 5), bytes((colour[0], 0, 0)) * 45)
    else:
        picture = Image.new(mode, (9, 5), colour)
    path = tmp_path / f"x.{suffix}"
    picture.save(path)
    found = load_image(str(path))
    assert found.shape == (5, 9, 3)
    assert np.abs(found.astype(int) - expected).max() <= 2
    assert image_size(str(path)) == (9, 5)


def test_transparent_palette_entry_becomes_white(tmp_path):
    picture = Image.new("P", (2, 1))
    picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.putdata([0, 1])
    path = tmp_path / "x.png"
    picture.save(path, transparency=0)
    assert load_image(str(path))[0].tolist() == [[255, 255, 255], [0, 0, 255]]


def test_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (4, 4), c) for c in ("red", "blue")]
    path = tmp_path / "x.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert load_image(str(path))[0, 0].tolist() == [255, 0, 0]


def noisy(path, size=(64, 64)):
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def truncated(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "webp", "bmp"])
def test_truncated_file(tmp_path, suffix):
    path = noisy(tmp_path / f"x.{suffix}")
    truncated(path)
    with pytest.raises(DataError, match=rf"x\.{suffix}: (image file is damaged|not an image)"):
        load_image(str(path))


def test_other_unusable_files(tmp_path):
    empty, text = tmp_path / "empty.jpg", tmp_path / "text.jpg"
    empty.touch()
    text.write_text("no image at all")
    for call in (load_image, image_size):
        with pytest.raises(DataError, match=r"empty\.jpg: image file is empty \(0 bytes\)"):
            call(str(empty))
        with pytest.raises(DataError, match=r"gone\.jpg: image file is missing"):
            call(str(tmp_path / "gone.jpg"))
        with pytest.raises(DataError, match=r"text\.jpg: not an image"):
            call(str(text))
        with pytest.raises(DataError, match="found a folder"):
            call(str(tmp_path))


def test_unreadable_file(tmp_path, monkeypatch):
    path = noisy(tmp_path / "x.png")

    def refuse(self, mode):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)  # root could read it whatever its mode
    with pytest.raises(DataError, match="no permission"):
        load_image(str(path))


def test_damaged_header_bytes_never_escape_as_other_errors(tmp_path):
    """Flip bytes everywhere: the file decodes or a DataError says why, nothing else."""
    generator = np.random.default_rng(1)
    failures = 0
    for suffix in ("jpg", "png", "gif", "webp", "tiff", "bmp"):
        good = noisy(tmp_path / f"good.{suffix}", (16, 16)).read_bytes()
        for _ in range(60):
            broken = bytearray(good)
            for at in generator.integers(0, min(len(good), 200), 4):
                broken[at] = int(generator.integers(256))
            path = tmp_path / f"bad.{suffix}"
            path.write_bytes(broken)
            try:
                load_image(str(path))
            except DataError:
                failures += 1
    assert failures > 50


def test_damaged_exif_counts_as_upright(tmp_path):
    path = tmp_path / "x.jpg"
    corner_picture().save(path, exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff\x00\x09")
    assert load_image(str(path)).shape == (32, 48, 3)


def test_too_many_pixels(tmp_path, monkeypatch):
    path = noisy(tmp_path / "x.png")
    monkeypatch.setattr(images, "ANY_IMAGE", images.ImageLimits(64 * 64))
    assert load_image(str(path)).shape == (64, 64, 3)
    monkeypatch.setattr(images, "ANY_IMAGE", images.ImageLimits(64 * 64 - 1))
    with pytest.raises(DataError, match="found 64 x 64 pixels"):
        load_image(str(path))


def png_header(path, side):
    """The first chunks of a grey PNG: all that its size is read from."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    exif = chunk(b"eXIf", Image.Exif().tobytes()[6:])
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + exif + chunk(b"IDAT", b""))
    return path


@pytest.mark.parametrize(("side", "refused"), [(9_700, False), (10_001, True), (20_000, True)])
def test_the_limit_answers_instead_of_pillows_warning(tmp_path, side, refused):
    # Pillow warns from 89 and refuses from 179 megapixels.
    path = png_header(tmp_path / "x.png", side)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if refused:
            with pytest.raises(DataError, match="at most 100 megapixels"):
                image_size(str(path))
        else:
            assert image_size(str(path)) == (side, side)


def test_scenes_are_drawn():
    path = "scenes:v2,seed=0,size=64,split=train,index=3"
    assert load_image(path).shape == (64, 64, 3)
    assert image_size(path) == (64, 64)
    with pytest.raises(DataError, match="expected a scene like"):
        load_image("scenes:v0,seed=0,size=64,split=train,index=3")


def record(path):
    return ImageRecord(path.name, str(path), "train", (1,), None, "list:1")


def test_find_bad_images_keeps_order_and_reports_each(tmp_path):
    paths = [noisy(tmp_path / f"{n}.jpg") for n in range(6)]
    truncated(paths[4])
    paths[1].write_bytes(b"")
    paths[2].unlink()
    done = []
    bad = find_bad_images([record(p) for p in paths], workers=3, on_done=lambda: done.append(1))
    assert [b.record.image_id for b in bad] == ["1.jpg", "2.jpg", "4.jpg"]
    assert [("empty" in b.reason, "missing" in b.reason, "damaged" in b.reason) for b in bad] == [
        (True, False, False),
        (False, True, False),
        (False, False, True),
    ]
    assert len(done) == 6


def test_sixteen_bits_scale_exactly(tmp_path):
    levels = np.arange(256, dtype=np.uint16)[None, :]
    path = tmp_path / "x.png"
    Image.fromarray(levels * 257).save(path)
    assert load_image(str(path))[0, :, 0].tolist() == list(range(256))
