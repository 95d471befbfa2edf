"""Coverage of objects: areas of unions, hand-computed and on a fine grid."""

import numpy as np
import pytest

from boxless.errors import ShapeError
from boxless.metrics.coverage import object_coverage
from boxless.types import TrueBox


def truth(*boxes):
    return [TrueBox(n, box) for n, box in enumerate(boxes)]


@pytest.mark.parametrize(
    ("boxes", "expected"),
    [
        ([], 0.0),
        ([[0, 0, 20, 20]], 1.0),
        ([[0, 0, 5, 10]], 0.5),
        ([[0, 0, 5, 10], [0, 0, 5, 10], [2, 0, 5, 5]], 0.5),  # each part counts once
        ([[0, 0, 5, 10], [5, 0, 10, 10]], 1.0),
        ([[12, 12, 20, 20]], 0.0),
        ([[5, 5, 5, 10]], 0.0),  # an empty box covers nothing
    ],
)
def test_one_object(boxes, expected):
    assert object_coverage([boxes], [truth((0, 0, 10, 10))]) == pytest.approx(expected)


def test_area_is_summed_over_images_and_shared_parts_count_once():
    found = [[[0, 0, 10, 10]], []]
    true = [truth((0, 0, 10, 10), (5, 0, 15, 10)), truth((0, 0, 5, 10))]
    assert object_coverage(found, true) == pytest.approx(100 / 200)


def test_equals_counting_cells():
    rng = np.random.default_rng(0)

    def some(count):
        low = rng.integers(0, 20, (count, 2))
        return np.concatenate([low, low + rng.integers(1, 12, (count, 2))], 1)

    def painted(boxes):
        grid = np.zeros((40, 40), bool)
        for x1, y1, x2, y2 in boxes:
            grid[y1:y2, x1:x2] = True
        return grid

    for _ in range(20):
        found, true = some(5), some(3)
        expected = (painted(found) & painted(true)).sum() / painted(true).sum()
        assert object_coverage([found], [truth(*map(tuple, true))]) == pytest.approx(expected)


def test_without_objects_there_is_no_share():
    assert np.isnan(object_coverage([[[0, 0, 1, 1]]], [[]]))
    with pytest.raises(ShapeError, match="1 images have boxes, but 2"):
        object_coverage([[]], [[], []])
