from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

from boxless.data.images import load_grey, load_image
from boxless.data.leaks import near_duplicates, refuse_near_duplicates
from boxless.errors import DataError
from boxless.types import ImageRecord


def picture(seed, size=(240, 160)):
    """A random drawing: large shapes, as in photographs."""
    random = np.random.default_rng(seed)
    image = Image.new("RGB", size, tuple(random.integers(0, 256, 3).tolist()))
    draw = ImageDraw.Draw(image)
    for _ in range(12):
        x, y = random.integers(0, size[0]), random.integers(0, size[1])
        w, h = random.integers(15, 90, 2)
        draw.ellipse((x, y, x + w, y + h), fill=tuple(random.integers(0, 256, 3).tolist()))
    return image


def save(folder, images, split="train", suffix=".png", **options):
    folder.mkdir(parents=True, exist_ok=True)
    records = []
    for number, image in enumerate(images):
        path = folder / f"{number}{suffix}"
        image.save(path, **options)
        records.append(ImageRecord(f"{split}{number}", str(path), split, ()))
    return records


def names(pairs):
    return [(one.image_id, two.image_id) for one, two in pairs]


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image,
        lambda image: image.resize((120, 80)),
        lambda image: image.resize((128, 128)),
        lambda image: image.resize((720, 480)),
        lambda image: image.crop((4, 3, 236, 157)),
        lambda image: image.point(lambda value: int(255 * (value / 255) ** 0.8)),
        ImageOps.grayscale,
        ImageOps.mirror,
    ],
    ids=["same", "smaller", "squashed", "larger", "cropped", "brighter", "grey", "mirrored"],
)
def test_changed_copies_are_found(tmp_path, change):
    test = save(tmp_path / "test", [picture(seed) for seed in range(8)], "test")
    copies = [change(picture(seed)) for seed in (5, 2)]
    others = [picture(seed) for seed in range(100, 108)]
    pool = save(tmp_path / "pool", [*copies, *others], suffix=".jpg", quality=60)
    assert names(near_duplicates(pool, test)) == [("train0", "test5"), ("train1", "test2")]


def test_nothing_is_a_copy_of_flat_or_unreadable_images(tmp_path):
    flat = [Image.new("RGB", (30, 20), "white"), picture(1)]
    one, two = save(tmp_path / "a", flat), save(tmp_path / "b", flat, "test")
    for record in (one[1], two[1]):
        Path(record.path).write_bytes(b"damaged")
    assert near_duplicates(one, two) == []
    assert near_duplicates([], two) == near_duplicates(one, []) == []


def test_refused_with_the_first_five_pairs(tmp_path):
    images = [picture(seed) for seed in range(7)]
    pool, test = save(tmp_path / "a", images), save(tmp_path / "b", images, "test")
    with pytest.raises(DataError) as caught:
        refuse_near_duplicates(pool, test, drop=False)
    told = str(caught.value)
    assert told.startswith("7 of 7 untagged images show the same picture as a test or held-out")
    assert [f"{n}.png and" in told for n in range(7)] == [True] * 5 + [False] * 2
    assert "and 2 more" in told
    assert "--run.leaks drop" in told


def test_dropped_where_asked(tmp_path):
    pool = save(tmp_path / "a", [picture(1), picture(2), picture(3)])
    test = save(tmp_path / "b", [picture(2)], "test")
    kept, note = refuse_near_duplicates(pool, test, drop=True)
    assert kept == (pool[0], pool[2])
    assert note.startswith("1 of 3 untagged images")
    assert refuse_near_duplicates(kept, test, drop=False) == (kept, "")


def test_scenes_are_compared_as_drawn():
    from boxless.data.sources import load_manifest

    records = load_manifest("scenes:train=3,test=3").records
    assert names(near_duplicates(records[:3], records)) == [
        (record.image_id, record.image_id) for record in records[:3]
    ]


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_grey_squares_are_the_image_made_small(tmp_path, suffix):
    (record,) = save(tmp_path, [picture(3, (600, 400))], suffix=suffix)
    grey = load_grey(record.path, 16)
    whole = Image.fromarray(load_image(record.path)).convert("L")
    wanted = np.asarray(whole.resize((16, 16), Image.Resampling.BOX), int)
    assert grey.shape == (16, 16)
    assert np.abs(grey - wanted).max() <= 6


def test_grey_squares_stand_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    image = picture(4)
    (turned,) = save(tmp_path / "a", [image.transpose(Image.Transpose.ROTATE_90)], exif=exif)
    (plain,) = save(tmp_path / "b", [image])
    assert np.abs(load_grey(turned.path, 16).astype(int) - load_grey(plain.path, 16)).max() <= 1


def test_real_photographs_are_no_copies_of_each_other(data_root):
    from boxless.data.sources import load_manifest

    manifest = load_manifest(f"voc:{data_root}/voc-mini/VOCdevkit/VOC2007")
    train, test = manifest.split("train").records, manifest.split("test").records[:200]
    assert near_duplicates(train[:300], test) == []
