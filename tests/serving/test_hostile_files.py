"""Whatever is sent as an image: labels or a clear 4xx, never a 500, and the process lives."""

import io

import hostile
import numpy as np
import pytest
from PIL import Image

UNUSABLE, STRANGE = hostile.unusable_files(), hostile.strange_files()


@pytest.mark.parametrize("name", UNUSABLE)
def test_refused(live, name):
    data, right = UNUSABLE[name]
    reply = live.send_files((name, data))
    assert reply.status in right, reply.body
    assert reply.code in {
        "empty_image",
        "unsupported_image",
        "damaged_image",
        "too_many_pixels",
        "too_many_scans",
    }
    assert reply.json["error"]["file"] == name
    assert live.post(data, "image/png").status in right


@pytest.mark.parametrize("name", STRANGE)
def test_labelled(live, name):
    data, right = STRANGE[name]
    reply = live.send_files((name, data), query="?boxes=true&maps=true")
    assert reply.status in right, reply.body
    if reply.status == 200:
        (image,) = reply.json["predictions"]
        with Image.open(io.BytesIO(data)) as opened:
            sides = sorted(opened.size)
        assert sorted((image["width"], image["height"])) == sides
        assert len(image["labels"]) == 3
        assert all(0 <= label["probability"] <= 1 for label in image["labels"])


def test_bombs_are_refused_for_their_pixels(live):
    bombs = [name for name in UNUSABLE if "bomb.png" in name or "claims-much" in name]
    assert len(bombs) == 7
    for name in bombs:
        reply = live.send_files((name, UNUSABLE[name][0]))
        assert (reply.status, reply.code) == (413, "too_many_pixels"), name


def test_turned_image_is_upright(live):
    reply = live.send_files(("turned.jpg", STRANGE["turned.jpg"][0]))
    image = reply.json["predictions"][0]
    assert (image["width"], image["height"]) == (30, 40)


def test_one_bad_image_among_good_ones_is_named(live):
    good = hostile.encoded(hostile.picture(), "PNG")
    reply = live.send_files(("a.png", good), ("b.png", good[:50]), ("c.png", good))
    assert reply.status == 422
    assert reply.json["error"]["file"] == "b.png"


def test_flipped_bytes(live):
    """Damage anywhere: each file is labelled or refused."""
    generator = np.random.default_rng(2)
    seen = set()
    for kind in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"):
        good = hostile.encoded(hostile.picture((16, 16)), kind)
        for _ in range(25):
            broken = bytearray(good)
            for at in generator.integers(0, len(good), 6):
                broken[at] = generator.integers(256)
            reply = live.send_files(("x", bytes(broken)))
            assert reply.status == 200 or reply.status in hostile.REFUSED, reply.body
            seen.add(reply.status)
    assert {200, 422} <= seen
