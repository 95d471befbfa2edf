"""Suspicious tags: by hand, by laws, and beside cleanlab on the same probabilities."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from boxless.errors import DataError, NumericsError, ShapeError
from boxless.metrics import tag_suspicion


def quality(labels, probabilities):
    """Cleanlab's self-confidence of every tag, (M, K)."""
    from cleanlab.multilabel_classification.rank import get_label_quality_scores_per_class

    lists = [np.flatnonzero(row).tolist() for row in labels]
    return np.asarray(get_label_quality_scores_per_class(lists, probabilities))


def drawn(rng, images, frequencies):
    """Calibrated probabilities and the true labels drawn from them."""
    spread = rng.beta(0.3, 0.3, (images, len(frequencies)))
    odds = spread / (1 - spread) * (frequencies / (1 - frequencies))
    probabilities = odds / (1 + odds)
    return probabilities, (rng.random(probabilities.shape) < probabilities).astype(np.int8)


def test_by_hand():
    """One image of four has the tag: a third of the odds count against it."""
    found = tag_suspicion([[0.2], [0.9], [0.1], [0.5]], [[1], [0], [0], [0]])
    assert found[:, 0] == pytest.approx([0.8 / 3 / (0.8 / 3 + 0.2), 0.9, 0.1, 0.5])


def test_common_classes_mirror_rare_ones():
    rng = np.random.default_rng(0)
    probabilities = rng.random((40, 3))
    labels = (rng.random((40, 3)) < 0.2).astype(np.int8)
    mirrored = tag_suspicion(1 - probabilities, 1 - labels)
    assert mirrored == pytest.approx(tag_suspicion(probabilities, labels))


def test_unknown_tags_have_none_and_count_for_nothing():
    labels = np.array([[1], [0], [-1], [0]])
    found = tag_suspicion([[0.3], [0.2], [0.9], [0.4]], labels)
    assert np.isnan(found).tolist() == [[False], [False], [True], [False]]
    assert found[[0, 1, 3]] == pytest.approx(tag_suspicion([[0.3], [0.2], [0.4]], [[1], [0], [0]]))


@pytest.mark.parametrize("tag", [0, 1])
def test_a_class_that_all_or_none_have_cannot_be_judged(tag):
    assert tag_suspicion([[0.0], [0.5], [1.0]], [[tag]] * 3).tolist() == [[0], [0], [0]]


def test_equals_cleanlab_where_as_many_have_the_tag_as_not():
    rng = np.random.default_rng(1)
    probabilities = rng.random((60, 4))
    labels = np.stack([rng.permutation(np.arange(60) % 2) for _ in range(4)], 1)
    assert 1 - tag_suspicion(probabilities, labels) == pytest.approx(quality(labels, probabilities))


def test_orders_present_and_absent_tags_of_a_class_as_cleanlab_does():
    rng = np.random.default_rng(2)
    probabilities, labels = drawn(rng, 200, np.array([0.05, 0.1]))
    ours, theirs = tag_suspicion(probabilities, labels), 1 - quality(labels, probabilities)
    for k in range(2):
        for tag in (0, 1):
            rows = labels[:, k] == tag
            assert (np.argsort(ours[rows, k]) == np.argsort(theirs[rows, k])).all()


@pytest.mark.parametrize("seed", range(3))
def test_finds_more_planted_errors_than_cleanlab_where_classes_are_rare(seed):
    """As many tags removed as added, 5 % of each class; frequencies stay."""
    rng = np.random.default_rng(seed)
    probabilities, labels = drawn(rng, 3000, np.linspace(0.02, 0.3, 10))
    noisy = labels.copy()
    for k in range(10):
        count = round(0.05 * labels[:, k].sum())
        for tag in (0, 1):
            noisy[rng.choice(np.flatnonzero(labels[:, k] == tag), count, replace=False), k] = (
                1 - tag
            )
    planted = (noisy != labels).ravel()
    ours = average_precision_score(planted, tag_suspicion(probabilities, noisy).ravel())
    theirs = average_precision_score(planted, 1 - quality(noisy, probabilities).ravel())
    assert ours > theirs


def test_wrong_inputs_are_named():
    with pytest.raises(ShapeError):
        tag_suspicion([[0.5, 0.5]], [[1]])
    with pytest.raises(NumericsError, match=r"probabilities in \[0, 1\], found -2 to 3"):
        tag_suspicion([[3.0], [-2.0]], [[1], [0]])
    with pytest.raises(DataError):
        tag_suspicion([[0.5]], [[2]])
