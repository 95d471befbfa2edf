"""Gain by object size on scores whose gain sits in small objects alone."""

from types import SimpleNamespace

import numpy as np
import pytest

from boxless.experiments.object_size import gain_by_size, largest_objects
from boxless.types import ImageRecord, TrueBox

SIDES = (10, 12, 14, 30, 32, 34, 80, 90, 100)


def record(place, side):
    label, boxes = (0,), ()
    if side:
        tiny = TrueBox(0, (0, 0, 1, 1))  # the larger of two objects counts
        label, boxes = (1,), (TrueBox(0, (0, 0, side, side)), tiny)
    return ImageRecord(str(place), "", "test", label, boxes)


@pytest.fixture
def run():
    records = [record(place, side) for place, side in enumerate((*SIDES, *[0] * 9))]
    labels = np.array([r.labels for r in records], np.int8)
    return SimpleNamespace(
        manifest=SimpleNamespace(has_boxes=True),
        test=SimpleNamespace(records=records, labels=labels),
        proposals=lambda _: SimpleNamespace(width=100, height=100),
    )


def test_the_largest_object_counts(run):
    areas = largest_objects(run)[:, 0]
    assert areas[:9] == pytest.approx([side * side / 10_000 for side in SIDES])
    assert np.isnan(areas[9:]).all()


def test_gain_lies_where_it_was_made(run):
    plain = np.array([[[0.1]] * 3 + [[0.9]] * 6 + [[0.5]] * 9])  # misses the three small ones
    taught = np.array([[[0.9]] * 9 + [[0.5]] * 9])
    gains = gain_by_size(run, taught, plain)
    assert [size.name for size in gains] == ["small", "medium", "large"]
    assert [size.pairs for size in gains] == [3, 3, 3]
    # alone, the small ones rank behind nine negatives: precision 3 / 12
    assert [size.gain.mean for size in gains] == pytest.approx([0.75, 0, 0])
    assert gains[0].gain.low > 0
    assert gains[2].most == pytest.approx(1.0)


def test_nothing_without_boxes(run):
    run.manifest.has_boxes = False
    assert gain_by_size(run, np.zeros((1, 18, 1)), np.zeros((1, 18, 1))) == []
