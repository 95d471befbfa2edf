"""Batches of tagged and untagged images: fixed shares, whole passes, the same on any machine."""

import pytest
import torch
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st
from training_case import IMAGES, stream

TAGGED = 4


def rows(source, update):
    return [sample.index for sample in source.plan(update)]


@limits(deadline=None, max_examples=40)
@given(st.integers(1, IMAGES - 1), st.integers(1, 6), st.integers(1, 6), st.integers(0, 99))
def test_every_batch_has_its_share_and_every_image_its_turn(tagged, quota, rest, seed):
    source = stream(batch_size=quota + rest, seed=seed, tagged=tagged, quota=quota)
    passes = tagged * (IMAGES - tagged)
    batches = [rows(source, update) for update in range(passes)]
    for batch in batches:
        assert sum(row < tagged for row in batch) == quota
        assert len(batch) == quota + rest
    for part in (range(tagged), range(tagged, IMAGES)):
        drawn = [row for batch in batches for row in batch if row in part]
        for start in range(0, len(drawn), len(part)):
            assert sorted(drawn[start : start + len(part)]) == list(part)


def test_a_plan_depends_on_its_update_alone():
    fresh = stream(tagged=TAGGED, quota=1).plan(5)
    used = stream(tagged=TAGGED, quota=1)
    for update in (9, 0, 31):
        used.plan(update)
    assert used.plan(5) == fresh
    assert stream(tagged=TAGGED, quota=1, seed=4).plan(5) != fresh
    assert stream(tagged=TAGGED, quota=0).plan(5) == stream().plan(5)


def test_the_two_streams_are_shuffled_apart():
    """With equal numbers of both, neither follows the other's order."""
    source = stream(batch_size=10, tagged=5, quota=5)
    first = rows(source, 0)
    assert [row - 5 for row in first[5:]] != first[:5]


@pytest.mark.parametrize("processes", [2, 3, 4])
def test_processes_share_a_batch(processes):
    whole = stream(tagged=TAGGED, quota=2)
    parts = [whole.part(rank, processes) for rank in range(processes)]
    for update in range(6):
        found = [sample for part in parts for sample in part.plan(update)]
        assert sorted(found, key=str) == sorted(whole.plan(update), key=str)
    everyone = [next(part.batches(3, 4)).everyone for part in parts]
    assert all(torch.equal(one, everyone[0]) for one in everyone)
    assert everyone[0].tolist() == rows(whole, 3)
