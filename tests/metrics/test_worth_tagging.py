"""Images to tag next: unsure ones first, and not the same again."""

import numpy as np
import pytest

from boxless.errors import NumericsError, ShapeError
from boxless.metrics.suspicion import next_to_tag


def test_sure_images_come_last():
    probabilities = [[0.01, 0.99], [0.5, 0.99], [0.01, 0.6], [0.0, 1.0]]
    assert next_to_tag(probabilities, 3).tolist() == [1, 2, 0]


def test_an_image_like_one_before_brings_less_than_another():
    """The second is less sure than the third, but unsure of the same class as the first."""
    assert next_to_tag([[0.5, 0.0], [0.45, 0.0], [0.0, 0.3]], 2).tolist() == [0, 2]


def test_more_images_begin_with_the_same_and_none_comes_twice():
    probabilities = np.random.default_rng(0).random((50, 4))
    found = next_to_tag(probabilities, 20)
    assert len(set(found.tolist())) == 20
    assert next_to_tag(probabilities, 5).tolist() == found[:5].tolist()
    assert sorted(next_to_tag(probabilities, 99).tolist()) == list(range(50))


def test_a_class_present_is_as_sure_as_one_absent():
    probabilities = np.random.default_rng(1).random((30, 3))
    assert next_to_tag(probabilities, 9).tolist() == next_to_tag(1 - probabilities, 9).tolist()


def test_wrong_inputs_are_named():
    with pytest.raises(ShapeError, match=r"\(M, K\), found \(2,\)"):
        next_to_tag([0.1, 0.2], 1)
    with pytest.raises(NumericsError):
        next_to_tag([[np.nan, 0.2]], 1)
