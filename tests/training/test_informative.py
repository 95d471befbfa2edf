"""Which images are kept first: those with many and rare tags."""

import numpy as np
import pytest

from boxless.training.informative import information, most_informative

LABELS = np.array([[1, 0, 0], [1, 1, 0], [1, 0, -1], [1, 0, 1], [0, 0, 0]], np.int8)


def test_bits_by_hand():
    common, rare = -np.log2(4 / 5), -np.log2(1 / 5)
    expected = [common, common + rare, common, common + rare, 0]
    np.testing.assert_allclose(information(LABELS), expected)


@pytest.mark.parametrize(
    ("count", "rows"), [(0, []), (1, [1]), (2, [1, 3]), (3, [0, 1, 3]), (9, [0, 1, 2, 3, 4])]
)
def test_rows(count, rows):
    assert most_informative(LABELS, count).tolist() == rows


def test_classes_that_never_occur_say_nothing():
    assert information(np.zeros((3, 2), np.int8)).tolist() == [0, 0, 0]
