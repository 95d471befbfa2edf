import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file

from boxless.proposals.index import StoreInputs
from boxless.proposals.precision import (
    half,
    on_lattice,
    packed_boxes,
    packed_scores,
    steps_per_pixel,
    unpacked_boxes,
    unpacked_scores,
)
from boxless.proposals.store import ProposalStore
from boxless.proposals.writer import ProposalWriter
from boxless.types import Proposals

sides = st.integers(1, 70_000)


def random_proposals(width, height, count=20, seed=0):
    random = np.random.default_rng(seed)
    ends = random.uniform(0, [width, height, width, height], (count, 4)).astype(np.float32)
    boxes = np.concatenate(
        [np.minimum(ends[:, :2], ends[:, 2:]), ends.max(0)[None, 2:].repeat(count, 0)], 1
    )
    return Proposals(boxes, random.random(count).astype(np.float32), width, height)


def rounded(found):
    boxes = on_lattice(found.boxes, found.width, found.height)
    return Proposals(boxes, half(found.scores), found.width, found.height)


def test_the_lattice_is_as_fine_as_sixteen_bits_allow():
    assert steps_per_pixel(500, 375) == 128
    assert steps_per_pixel(375, 500) == 128
    assert steps_per_pixel(1, 1) == 32_768
    assert steps_per_pixel(65_535, 1) == 1
    assert steps_per_pixel(100_000, 1) == 1


@given(width=sides, height=sides, seed=st.integers(0, 99))
def test_rounding_moves_by_half_a_step_stays_inside_and_is_done_once(width, height, seed):
    found = random_proposals(width, height, seed=seed)
    boxes = on_lattice(found.boxes, width, height)
    assert np.abs(boxes - found.boxes).max() <= 0.5 / steps_per_pixel(width, height)
    assert boxes.min() >= 0
    assert (boxes.max(0) <= [width, height, width, height]).all()
    np.testing.assert_array_equal(on_lattice(boxes, width, height), boxes)
    assert (np.diff(half(np.sort(found.scores))) >= 0).all()


@given(width=st.integers(1, 65_535), height=st.integers(1, 65_535), seed=st.integers(0, 99))
def test_what_is_rounded_takes_half_the_room_and_reads_the_same(width, height, seed):
    found = rounded(random_proposals(width, height, seed=seed))
    boxes, scores = packed_boxes([found]), packed_scores([found])
    assert boxes.dtype == np.uint16
    assert scores.dtype == np.float16
    again = unpacked_boxes(boxes, width, height)
    assert again.dtype == unpacked_scores(scores).dtype == np.float32
    np.testing.assert_array_equal(again, found.boxes)
    np.testing.assert_array_equal(unpacked_scores(scores), found.scores)


@pytest.mark.parametrize(
    ("boxes", "scores"),
    [
        ([[0.1, 0, 30, 30]], [0.1]),
        ([[-0.0078125, 0, 30, 30]], [1e-9]),
        ([[0, 0, 30, 70_000]], [70_000.0]),
    ],
)
def test_other_numbers_keep_single_precision(boxes, scores):
    found = Proposals(np.array(boxes, np.float32), np.array(scores, np.float32), 500, 375)
    assert packed_boxes([found]).dtype == packed_scores([found]).dtype == np.float32
    np.testing.assert_array_equal(packed_boxes([found]), found.boxes)
    np.testing.assert_array_equal(packed_scores([found]), found.scores)


def test_a_store_takes_ten_bytes_a_box_and_gives_back_every_one(tmp_path):
    entries = [(f"i{n}", rounded(random_proposals(500, 300 + n, 500, n))) for n in range(8)]
    ids = tuple(name for name, _ in entries)
    writer = ProposalWriter(tmp_path / "store", StoreInputs("random", {}, "manifest", 8, ids))
    writer.write_shard(0, entries)
    store = writer.finish()
    for name, entry in entries:
        np.testing.assert_array_equal(store[name].boxes, entry.boxes)
        np.testing.assert_array_equal(store[name].scores, entry.scores)
    shard = tmp_path / "store" / store.index.shards[0].file
    assert shard.stat().st_size < 8 * (5000 + 120)
    assert load_file(shard)["boxes"].dtype == np.uint16
    assert ProposalStore.open(tmp_path / "store").fingerprint == store.fingerprint
