import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxless.data import table as csv
from boxless.data import voc
from boxless.data.manifest import Manifest
from boxless.data.sources import load_manifest
from boxless.data.stratify import part_sizes
from boxless.errors import DataError
from boxless.types import ImageRecord


def record(image_id, labels, split="train", source="here:1"):
    return ImageRecord(image_id, f"scenes:{image_id}", split, tuple(labels), None, source)


def manifest(rows, split="train"):
    classes = tuple(f"c{k}" for k in range(len(rows[0])))
    return Manifest("made", classes, tuple(record(f"i{n}", r, split) for n, r in enumerate(rows)))


label_tables = st.integers(1, 5).flatmap(
    lambda k: st.lists(
        st.lists(st.sampled_from([1, 0, 0, -1]), min_size=k, max_size=k), min_size=2, max_size=60
    )
)


def test_labels_are_a_read_only_table_in_record_order():
    made = manifest([(1, 0), (-1, 1)])
    assert made.labels.dtype == np.int8
    assert made.labels.tolist() == [[1, 0], [-1, 1]]
    assert made.image_ids == ("i0", "i1")
    with pytest.raises(ValueError, match="read-only"):
        made.labels[0, 0] = 0


def test_splits_keep_classes_and_order():
    both = Manifest("m", ("a",), (record("x", [1]), record("y", [0], "test"), record("z", [0])))
    assert both.split_names == ("train", "test")
    assert both.split("train").image_ids == ("x", "z")
    assert both.split("test").classes == ("a",)
    with pytest.raises(DataError, match="Did you mean 'test'"):
        both.split("tset")


def test_has_boxes_needs_boxes_on_every_image():
    boxed = replace(record("x", [1]), boxes=())
    assert Manifest("m", ("a",), (boxed,)).has_boxes
    assert not Manifest("m", ("a",), (boxed, record("y", [1]))).has_boxes


def test_without_drops_ids_and_refuses_to_become_empty():
    made = manifest([(1,), (0,), (1,)])
    assert made.without({"i1", "elsewhere"}).image_ids == ("i0", "i2")
    with pytest.raises(DataError, match="no images"):
        made.without(made.image_ids)


@pytest.mark.parametrize(
    ("records", "told"),
    [
        ([record("x", [1, 0]), record("x", [1, 0], "test", "there:9")], r"there:9: .*'x'.*here:1"),
        ([record("x", [1])], r"here:1: expected 2 labels .*found 1"),
        ([record("x", [1, 2])], r"here:1: expected labels 1, 0 or -1 .*\[2\]"),
        ([], "no images"),
    ],
)
def test_wrong_records_are_refused_with_their_source(records, told):
    with pytest.raises(DataError, match=told):
        Manifest("m", ("a", "b"), tuple(records))


@pytest.mark.parametrize("classes", [(), ("a", "a")])
def test_wrong_classes_are_refused(classes):
    with pytest.raises(DataError, match="class"):
        Manifest("m", classes, (record("x", [1] * len(classes)),))


class TestFingerprint:
    def test_does_not_depend_on_the_place(self, voc_tree, tmp_path):
        first = voc.read(str(voc_tree.root)).fingerprint
        moved = tmp_path / "elsewhere" / "renamed"
        shutil.copytree(voc_tree.root, moved)
        assert voc.read(str(moved)).fingerprint == first
        assert len(first) == 16
        assert set(first) <= set("0123456789abcdef")

    def test_changes_with_labels_classes_splits_ids_and_recipes(self):
        base = manifest([(1, 0), (0, 1)])
        others = [
            replace(base, classes=("c0", "cX")),
            manifest([(1, 0), (0, -1)]),
            manifest([(1, 0), (0, 1)], split="test"),
            replace(base, records=base.records[::-1]),
            replace(base, records=(replace(base.records[0], image_id="j"), base.records[1])),
            replace(base, records=(replace(base.records[0], path="scenes:j"), base.records[1])),
            replace(base, records=(replace(base.records[0], group="g"), base.records[1])),
        ]
        prints = [m.fingerprint for m in (base, *others)]
        assert len(set(prints)) == len(prints)

    def test_ignores_name_and_notes(self):
        base = manifest([(1, 0)])
        assert replace(base, name="other", notes=("n",)).fingerprint == base.fingerprint

    def test_changes_with_an_images_bytes(self, csv_file):
        table = csv_file("path,labels,split\na.png,x,train\n")
        before = csv.read(str(table)).fingerprint
        with (table.parent / "a.png").open("ab") as file:
            file.write(b"more")
        assert csv.read(str(table)).fingerprint != before

    def test_names_missing_files_with_their_lines(self, csv_file):
        table = csv_file("path,labels,split\na.png,x,train\ngone.png,x,train\n")
        with pytest.raises(DataError, match=r"1 of 2 image files(.|\n)*tags\.csv:3: .*gone\.png"):
            _ = csv.read(str(table)).fingerprint


@settings(max_examples=60, deadline=None)
@given(label_tables, st.floats(0.02, 0.98), st.integers(0, 5))
def test_holdout_laws(rows, fraction, seed):
    made = manifest(rows)
    held_size = part_sizes(len(made), [1 - fraction, fraction])[1]
    if held_size in (0, len(made)):
        with pytest.raises(DataError, match="leaves a part empty"):
            made.holdout(fraction, seed=seed)
        return
    rest, held = made.holdout(fraction, seed=seed)
    assert len(held) == held_size
    assert abs(len(held) - fraction * len(made)) <= 1
    assert not set(rest.image_ids) & set(held.image_ids)
    in_rest = set(rest.image_ids)
    assert rest.image_ids == tuple(i for i in made.image_ids if i in in_rest)
    assert held.image_ids == tuple(i for i in made.image_ids if i not in in_rest)
    assert made.holdout(fraction, seed=seed) == (rest, held)


@settings(max_examples=60, deadline=None)
@given(label_tables, st.integers(2, 6), st.integers(0, 5), st.randoms(use_true_random=False))
def test_folds_laws(rows, count, seed, random):
    made = manifest(rows)
    if count > len(made):
        with pytest.raises(DataError, match="folds"):
            made.folds(count, seed=seed)
        return
    folds = made.folds(count, seed=seed)
    assert folds.dtype == np.int64
    sizes = np.bincount(folds, minlength=count)
    assert sizes.sum() == len(made)
    assert sizes.max() - sizes.min() <= 1
    order = list(range(len(made)))
    random.shuffle(order)
    shuffled = replace(made, records=tuple(made.records[i] for i in order))
    assert (shuffled.folds(count, seed=seed) == folds[order]).all()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=10, max_size=80), st.integers(0, 5))
def test_folds_of_single_label_images_are_stratified_to_the_image(classes, seed):
    rows = [[int(k == c) for k in range(5)] for c in classes]
    made = manifest(rows)
    folds = made.folds(2, seed=seed)
    for k in range(5):
        positives = np.bincount(folds[made.labels[:, k] == 1], minlength=2)
        # Exact fold sizes can force one image over; plain random halves stray much further.
        assert abs(int(positives[0]) - int(positives[1])) <= 2


def test_seed_changes_the_folds():
    made = manifest([(1, 0), (0, 1)] * 20)
    assert (made.folds(4, seed=0) != made.folds(4, seed=1)).any()


def test_images_of_one_group_stay_together():
    made = manifest([(1, 0), (0, 1), (0, 0)] * 20)
    grouped = tuple(replace(r, group=f"g{n // 4}") for n, r in enumerate(made.records))
    made = replace(made, records=grouped)
    folds = made.folds(5, seed=0)
    assert all(len(set(folds[4 * g : 4 * g + 4])) == 1 for g in range(15))
    assert np.bincount(folds).tolist() == [12] * 5
    rest, held = made.holdout(0.2, seed=0)
    assert len(held) == 12
    assert not {r.group for r in rest.records} & {r.group for r in held.records}
    with pytest.raises(DataError, match="expected 2 to 15 folds"):
        made.folds(16, seed=0)


def test_real_classes_keep_their_shares(data_root: Path):
    train = load_manifest(f"voc:{data_root}/voc-mini/VOCdevkit/VOC2007").split("train")
    rest, held = train.holdout(0.2, seed=0)
    assert len(held) == 318
    for k in range(20):
        whole = (train.labels[:, k] == 1).sum()
        assert (held.labels[:, k] == 1).sum() == pytest.approx(0.2 * whole, abs=3)
        assert (rest.labels[:, k] == 1).sum() == pytest.approx(0.8 * whole, abs=3)
    folds = train.folds(5, seed=3)
    per_fold = np.stack([(train.labels[folds == f] == 1).sum(axis=0) for f in range(5)])
    assert (per_fold.max(axis=0) - per_fold.min(axis=0)).max() <= 4


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.5, 1.5, float("nan")])
def test_holdout_refuses_other_fractions(fraction):
    with pytest.raises(DataError, match="between 0 and 1"):
        manifest([(1,), (0,)]).holdout(fraction, seed=0)
