"""Decoded images that are kept: the same pixels, never a stale or damaged one."""

import os
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from boxless.data.arena import Arena, has_room
from boxless.data.images import load_image
from boxless.data.kept_images import KeptImages
from boxless.data.resize import resize_square
from boxless.training.views import crop_side, draw_view


def noise(seed, height=30, width=41):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def photos(tmp_path):
    paths = []
    for n in range(4):
        path = tmp_path / f"{n}.png"
        Image.fromarray(noise(n, 30 + n, 41)).save(path)
        paths.append(str(path))
    return paths


class Counted:
    """A loader that counts."""

    def __init__(self):
        self.count = 0

    def __call__(self, path):
        self.count += 1
        return load_image(path)


class TestArena:
    def test_gives_back_what_was_put(self):
        arena = Arena([4000, 4000])
        assert arena.get(1, 7) is None
        arena.put(1, noise(1), 7)
        np.testing.assert_array_equal(arena.get(1, 7), noise(1))
        assert arena.get(0, 7) is None
        with pytest.raises(ValueError, match="read-only"):
            arena.get(1, 7)[0] = 0

    def test_too_large_an_image_is_not_kept_and_harms_no_neighbour(self):
        arena = Arena([3690, 3690])
        arena.put(1, noise(1), 0)
        arena.put(0, noise(0, 31, 41), 0)
        assert arena.get(0, 0) is None
        np.testing.assert_array_equal(arena.get(1, 0), noise(1))

    def test_a_file_outlives_the_process_that_wrote_it(self, tmp_path):
        Arena([4000], tmp_path / "x" / "a.rgb").put(0, noise(0), 5)
        again = Arena([4000], tmp_path / "x" / "a.rgb")
        np.testing.assert_array_equal(again.get(0, 5), noise(0))

    @pytest.mark.parametrize("at", range(0, 3700, 411))
    def test_a_damaged_byte_empties_the_slot(self, tmp_path, at):
        path = tmp_path / "a.rgb"
        arena = Arena([3690], path)
        arena.put(0, noise(0), 5)
        data = bytearray(path.read_bytes())
        data[at] ^= 16
        path.write_bytes(data)
        assert Arena([3690], path).get(0, 5) is None

    def test_another_stamp_empties_the_slot(self, tmp_path):
        Arena([4000], tmp_path / "a.rgb").put(0, noise(0), 5)
        assert Arena([4000], tmp_path / "a.rgb").get(0, 6) is None

    def test_travels_to_other_processes(self, tmp_path):
        filed, memory = Arena([4000], tmp_path / "a.rgb"), Arena([4000])
        for arena in (filed, memory):
            arena.put(0, noise(0), 5)
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(filed)).get(0, 5), noise(0))
        left = pickle.loads(pickle.dumps(memory))
        left.put(0, noise(0), 5)
        assert left.get(0, 5) is None


class TestKeptImages:
    def keep(self, photos, **options):
        load = Counted()
        return KeptImages(load, photos, **options), load

    def test_whole_views_are_kept_at_their_size_and_equal_the_plain_ones(self, photos, tmp_path):
        kept, load = self.keep(photos, limit_bytes=0, folder=tmp_path / "images")
        kept.reserve(16, 0)
        for _ in range(2):
            for path in photos:
                expected = resize_square(load_image(path), 16)
                np.testing.assert_array_equal(kept.source(path, 16, 0), expected)
        assert load.count == len(photos)
        (file,) = (tmp_path / "images").iterdir()
        assert file.stat().st_size < len(photos) * (16 * 16 * 3 + 64)

    def test_originals_where_they_fit(self, photos, tmp_path):
        kept, load = self.keep(photos, limit_bytes=10**6, folder=tmp_path / "images")
        for size, side in ((16, 0), (16, 20), (24, 0)):
            kept.reserve(size, side)
            for path in photos:
                np.testing.assert_array_equal(kept.source(path, size, side), load_image(path))
        assert load.count == len(photos)
        assert not (tmp_path / "images").exists()

    def test_as_many_originals_as_fit_for_crops(self, photos):
        first = load_image(photos[0]).nbytes
        kept, load = self.keep(photos, limit_bytes=first + 10)
        kept.reserve(16, 20)
        for _ in range(3):
            for path in photos:
                np.testing.assert_array_equal(kept.source(path, 16, 20), load_image(path))
        assert load.count == 1 + 3 * (len(photos) - 1)

    def test_off_keeps_nothing(self, photos, tmp_path):
        kept, load = self.keep(photos, mode="off", limit_bytes=10**6, folder=tmp_path / "images")
        kept.reserve(16, 0)
        for _ in range(2):
            kept.source(photos[0], 16, 0)
        assert load.count == 2
        assert not (tmp_path / "images").exists()

    def test_sized_never_enlarges(self, photos, tmp_path):
        kept, _ = self.keep(photos, mode="sized", folder=tmp_path / "images")
        kept.reserve(16, 35)
        assert kept.source(photos[0], 16, 35).shape == (30, 35, 3)
        kept.reserve(40, 100)
        np.testing.assert_array_equal(kept.source(photos[0], 40, 100), load_image(photos[0]))

    def test_a_changed_file_is_read_again(self, photos, tmp_path):
        for _ in range(2):
            kept, load = self.keep(photos, limit_bytes=0, folder=tmp_path / "images")
            kept.reserve(16, 0)
            kept.source(photos[0], 16, 0)
        assert load.count == 0
        Image.fromarray(noise(99)).save(photos[0])
        os.utime(photos[0], ns=(1, 1))
        kept, load = self.keep(photos, limit_bytes=0, folder=tmp_path / "images")
        kept.reserve(16, 0)
        expected = resize_square(noise(99), 16)
        np.testing.assert_array_equal(kept.source(photos[0], 16, 0), expected)

    def test_a_disk_without_room_only_costs_time(self, photos, tmp_path, monkeypatch):
        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
        kept, load = self.keep(photos, limit_bytes=0, folder=tmp_path / "images")
        kept.reserve(16, 0)
        for _ in range(2):
            kept.source(photos[0], 16, 0)
        assert load.count == 2
        assert list((tmp_path / "images").iterdir()) == []

    def test_images_beyond_its_list_are_loaded(self, photos):
        kept, load = self.keep(photos[:1], limit_bytes=10**6)
        kept.reserve(16, 0)
        np.testing.assert_array_equal(kept(photos[1]), load_image(photos[1]))
        assert load.count == 1


def test_room_on_a_disk(tmp_path):
    assert has_room(tmp_path / "not" / "yet", 1000)
    assert not has_room(tmp_path, 1 << 60)


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 10**6), st.floats(0.01, 0.9), st.integers(8, 300))
def test_no_crop_of_a_kept_image_is_smaller_than_its_view(seed, crop, size):
    view = draw_view(seed=seed, epoch=0, index=0, mirror=True, crop=crop)
    x1, y1, x2, y2 = view.window
    side = crop_side(size, crop)
    assert min(x2 - x1, y2 - y1) * side >= size * (1 - 1e-9)


def test_nothing_is_cropped_without_a_crop():
    assert crop_side(128, 0.0) == 0
