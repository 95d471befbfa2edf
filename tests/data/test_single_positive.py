"""One tag per image is kept: which, and what stays as it is."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from boxless.data.few_tags import keep_one_tag
from boxless.data.manifest import Manifest
from boxless.types import ImageRecord


def manifest(rows):
    records = [ImageRecord(f"i{n}", f"scenes:{n}", "train", tuple(r)) for n, r in enumerate(rows)]
    return Manifest("made", tuple(f"c{k}" for k in range(len(rows[0]))), tuple(records))


tables = st.integers(1, 5).flatmap(
    lambda k: st.lists(
        st.lists(st.sampled_from([1, 0, -1]), min_size=k, max_size=k), min_size=1, max_size=20
    )
)


@settings(max_examples=60, deadline=None)
@given(tables, st.integers(0, 99))
def test_laws(rows, seed):
    made = manifest(rows)
    kept = keep_one_tag(made, seed=seed)
    assert kept.image_ids == made.image_ids
    lost = 0
    for before, after in zip(made.records, kept.records, strict=True):
        assert after.labels.count(1) == min(1, before.labels.count(1))
        lost += before.labels.count(1) - after.labels.count(1)
        for old, new in zip(before.labels, after.labels, strict=True):
            assert new == old or (old, new) == (1, 0)
    assert kept.notes[-1].endswith(f"(seed {seed}); {lost} others are called absent")
    reordered = manifest(rows).without([made.image_ids[0]]) if len(rows) > 1 else made
    by_id = {record.image_id: record for record in kept.records}
    for record in keep_one_tag(reordered, seed=seed).records:  # of its image alone
        assert record == by_id[record.image_id]


def test_every_tag_is_kept_equally_often_and_seeds_differ():
    made = manifest([[1, 1, 0, 1]] * 3000)
    kept = [keep_one_tag(made, seed=seed) for seed in (0, 1)]
    counts = Counter(record.labels.index(1) for record in kept[0].records)
    assert set(counts) == {0, 1, 3}
    assert all(900 < count < 1100 for count in counts.values())
    assert kept[0].records != kept[1].records
