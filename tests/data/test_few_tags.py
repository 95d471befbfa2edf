import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxless.data.few_tags import AT_LEAST, keep_tags
from boxless.data.manifest import Manifest
from boxless.data.sources import load_manifest
from boxless.errors import DataError
from boxless.types import ImageRecord


def manifest(rows, test=2):
    records = [
        ImageRecord(f"i{n:03d}", f"scenes:{n}", "train", tuple(row), None, "here:1")
        for n, row in enumerate(rows)
    ]
    records += [replace(records[0], image_id=f"test{n}", split="test") for n in range(test)]
    return Manifest("made", tuple(f"c{k}" for k in range(len(rows[0]))), tuple(records))


tables = st.integers(1, 4).flatmap(
    lambda k: st.lists(
        st.lists(st.sampled_from([1, 0, 0, -1]), min_size=k, max_size=k), min_size=1, max_size=50
    )
)


@settings(max_examples=80, deadline=None)
@given(tables, st.data())
def test_laws(rows, data):
    made = manifest(rows)
    count = data.draw(st.integers(1, len(rows)))
    kept, rest = keep_tags(made, count, seed=1)
    assert len(kept.split("train")) == count
    assert kept.split("test").records == made.split("test").records
    assert set(kept.records) | set(rest) == set(made.records)
    assert not set(kept.image_ids) & {record.image_id for record in rest}
    in_kept = set(kept.image_ids)
    assert kept.image_ids == tuple(i for i in made.image_ids if i in in_kept)
    shuffled = list(made.records)
    random.Random(0).shuffle(shuffled)
    again, _ = keep_tags(replace(made, records=tuple(shuffled)), count, seed=1)
    assert set(again.image_ids) == in_kept


def test_classes_keep_their_shares():
    rows = [[1, 0]] * 60 + [[0, 1]] * 30 + [[0, 0]] * 10
    kept, _ = keep_tags(manifest(rows), 50, seed=0)
    assert (kept.split("train").labels == 1).sum(axis=0).tolist() == [30, 15]


def test_rare_classes_are_kept_a_few_times():
    rows = [[1, 0, 0]] * 400 + [[1, 1, 0]] * 6 + [[1, 0, 1]] * 3
    kept, rest = keep_tags(manifest(rows), 20, seed=0)
    assert (kept.split("train").labels == 1).sum(axis=0).tolist() == [20, AT_LEAST, 3]
    assert len(rest) == len(rows) - 20


def test_each_class_comes_once_before_any_comes_often():
    rows = [[int(k == c) for k in range(6)] for c in range(6) for _ in range(40 if c == 0 else 3)]
    kept, _ = keep_tags(manifest(rows), 12, seed=0)
    assert ((kept.split("train").labels == 1).sum(axis=0) >= 1).all()


def test_seed_changes_the_choice_and_a_note_names_it():
    made = manifest([[1, 0], [0, 1]] * 20)
    kept = [keep_tags(made, 10, seed=seed)[0] for seed in range(2)]
    assert kept[0].image_ids != kept[1].image_ids
    assert kept[1].notes == ("10 of 40 training images keep their tags (seed 1)",)


@pytest.mark.parametrize("count", [0, -1, 5])
def test_counts_out_of_range_are_refused(count):
    with pytest.raises(DataError, match=r"expected 1 to 4 training images .* found -?\d"):
        keep_tags(manifest([[1]] * 4), count, seed=0)


def test_real_tags(data_root):
    made = load_manifest(f"voc:{data_root}/voc-mini/VOCdevkit/VOC2007")
    whole = (made.split("train").labels == 1).sum(axis=0)
    for count in (100, 200, 400):
        kept, rest = keep_tags(made, count, seed=0)
        found = (kept.split("train").labels == 1).sum(axis=0)
        assert found.min() >= AT_LEAST
        np.testing.assert_allclose(found, whole * count / len(made.split("train")), atol=2)
        assert all(1 in record.labels or -1 in record.labels for record in rest)
