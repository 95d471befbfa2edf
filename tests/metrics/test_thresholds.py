import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import f1_score, precision_recall_curve

from boxless.errors import DataError, ShapeError
from boxless.metrics.f1 import f1_report
from boxless.metrics.inputs import logit
from boxless.metrics.thresholds import (
    choose_strength,
    common_threshold,
    own_thresholds,
    shrunk_thresholds,
)

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 3))
GRID = st.integers(0, 10).map(lambda tenth: np.float32(tenth / 10))  # many equal probabilities


@st.composite
def problems(draw):
    shape = draw(SHAPES)
    return (
        draw(arrays(np.float32, shape, elements=GRID)),
        draw(arrays(np.int8, shape, elements=st.sampled_from([1, 0, -1]))),
    )


def noisy(images=400, classes=4, seed=0, share=0.3):
    random = np.random.default_rng(seed)
    labels = (random.random((images, classes)) < share).astype(np.int8)
    probabilities = 1 / (1 + np.exp(-(2 * labels - 1.5 + random.normal(size=labels.shape))))
    return probabilities.astype(np.float32), labels


@settings(deadline=None, max_examples=50)
@given(problems())
def test_no_threshold_beats_a_classs_own(problem):
    values, labels = problem
    found = f1_report(values, labels, threshold=own_thresholds(values, labels)).f1
    for cut in (0.001, *np.arange(0.05, 1, 0.1), 0.999):
        other = f1_report(values, labels, threshold=cut).f1
        assert not (other > found + 1e-12).any()


@settings(deadline=None, max_examples=50)
@given(problems())
def test_no_threshold_beats_the_common_one(problem):
    values, labels = problem
    assume((labels == 1).any())
    found = f1_report(values, labels, threshold=common_threshold(values, labels)).f1_c
    for cut in (0.001, *np.arange(0.05, 1, 0.1), 0.999):
        assert f1_report(values, labels, threshold=cut).f1_c <= found + 1e-12


def test_it_is_scikit_learns_best_cut():
    values, labels = noisy()
    found = own_thresholds(values, labels)
    for k, threshold in enumerate(found):
        precision, recall, _ = precision_recall_curve(labels[:, k], values[:, k])
        best = np.max(2 * precision * recall / np.maximum(precision + recall, 1e-12))
        ours = f1_score(labels[:, k], values[:, k] > threshold)
        assert ours == pytest.approx(best, abs=1e-12)


def test_it_lies_in_the_middle_between_two_images():
    values = np.array([[0.9], [0.7], [0.4], [0.1]])
    assert own_thresholds(values, np.array([[1], [1], [0], [0]])) == pytest.approx([0.55])
    # all predicted, none left out: half-way to zero
    assert own_thresholds(values, np.array([[0], [0], [0], [1]])) == pytest.approx([0.05])


def test_of_equal_cuts_the_nearer_one_wins():
    # predicting 1 of 2 images: F1 = 2/3; predicting 4 with 2 right: 4/6
    values = np.array([[0.9], [0.7], [0.5], [0.3]])
    labels = np.array([[1], [0], [0], [1]])
    low, high = 0.15, 0.8
    assert own_thresholds(values, labels, near=0.2) == pytest.approx([low])
    assert own_thresholds(values, labels, near=0.7) == pytest.approx([high])


def test_unknown_labels_do_not_count():
    values, labels = noisy(40, 3)
    keep = np.random.default_rng(1).random(len(values)) < 0.5
    hidden = np.where(keep[:, None], labels, -1).astype(np.int8)
    np.testing.assert_array_equal(
        own_thresholds(values, hidden), own_thresholds(values[keep], labels[keep])
    )
    assert common_threshold(values, hidden) == common_threshold(values[keep], labels[keep])


def test_a_class_without_positives_takes_the_common_threshold():
    values, labels = noisy()
    labels[:, 2] = 0
    common = common_threshold(values, labels)
    for strength in (0.0, 5.0, float("inf")):
        found = shrunk_thresholds(values, labels, strength=strength)
        assert found[2] == pytest.approx(common, rel=1e-6)
    assert common_threshold(values, np.zeros_like(labels)) == 0.5


@settings(deadline=None, max_examples=50)
@given(problems(), st.floats(0, 100))
def test_shrinking_goes_from_own_to_common(problem, strength):
    values, labels = problem
    common = common_threshold(values, labels)
    own = own_thresholds(values, labels, near=common)
    found = shrunk_thresholds(values, labels, strength=strength)
    slack = 1e-9
    assert (found >= np.minimum(own, common) - slack).all()
    assert (found <= np.maximum(own, common) + slack).all()


def test_at_as_many_positives_as_strength_it_is_half_way():
    values, labels = noisy()
    positives = int(labels[:, 0].sum())
    common = common_threshold(values, labels)
    own = own_thresholds(values, labels, near=common)
    found = shrunk_thresholds(values, labels, strength=positives)
    assert logit(found[0]) == pytest.approx((logit(own[0]) + logit(common)) / 2, rel=1e-6)


@settings(deadline=None, max_examples=50)
@given(problems(), st.permutations(range(9)))
def test_the_order_of_images_does_not_matter(problem, order):
    values, labels = problem
    order = [row for row in order if row < len(values)]
    found = shrunk_thresholds(values, labels, strength=3)
    np.testing.assert_array_equal(
        shrunk_thresholds(values[order], labels[order], strength=3), found
    )


def test_cross_validation_shrinks_alike_classes_and_not_unlike_ones():
    folds = np.stack([np.random.default_rng(s).permutation(60) % 5 for s in range(4)])
    values, labels = noisy(60, 12, share=0.1)
    alike = choose_strength(values, labels, folds)
    # two kinds of classes whose probabilities live on different scales need their own thresholds
    values, labels = noisy(60, 12, share=0.5)
    values[:, ::2] = values[:, ::2] ** 8
    assert choose_strength(values, labels, folds) < alike


def test_choosing_equals_fitting_fold_by_fold():
    values, labels = noisy(50, 3)
    folds = np.arange(50)[None] % 5
    scores = {}
    for strength in (0.0, 10.0, float("inf")):
        predicted = np.zeros(labels.shape)
        for fold in range(5):
            rest = folds[0] != fold
            limits = shrunk_thresholds(values[rest], labels[rest], strength=strength)
            predicted[~rest] = values[~rest] > limits
        per_class = [f1_score(labels[:, k], predicted[:, k]) for k in range(3)]
        scores[strength] = np.mean(per_class)
    best = max(scores, key=lambda strength: (scores[strength], strength))
    assert choose_strength(values, labels, folds, strengths=tuple(scores)) == best


def test_wrong_input_is_named():
    with pytest.raises(ShapeError, match="same shape"):
        own_thresholds(np.zeros((2, 3)), np.zeros((2, 2), int))
    with pytest.raises(DataError):
        common_threshold(np.zeros((2, 2)), np.full((2, 2), 3))


def test_brute_force_over_all_pairs_of_cuts():
    # the mean of two classes' F1 is best where each class is best: no joint choice beats it
    values, labels = noisy(12, 2, seed=3)
    best = f1_report(values, labels, threshold=own_thresholds(values, labels)).f1_c
    cuts = np.append(values.min() / 2, np.unique(values))
    for pair in itertools.product(cuts, cuts):
        assert f1_report(values, labels, threshold=np.array(pair)).f1_c <= best + 1e-12
