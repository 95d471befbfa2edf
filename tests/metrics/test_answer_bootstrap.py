import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxless.errors import DataError, ShapeError
from boxless.metrics.bootstrap import paired_answer_bootstrap
from boxless.metrics.localization import (
    correct_localization,
    pointing_game,
    share_of_yes,
)
from boxless.types import TrueBox


def answers(seeds=2, images=30, classes=3, seed=0, chance=0.5):
    random = np.random.default_rng(seed)
    asked = np.random.default_rng(99).random((images, classes)) < 0.6
    found = (random.random((seeds, images, classes)) < chance).astype(float)
    return np.where(asked, found, np.nan)


def by_loops(first, second, draws, seed):
    """The same draws, one image at a time."""
    generator, of_seeds = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    S, M, K = first.shape
    picks = generator.integers(0, M, (draws, M))
    seeds = of_seeds.integers(0, S, (draws, S))
    values = []
    for images, chosen in zip(picks, seeds, strict=True):
        differences = []
        for s in chosen:
            shares = []
            for k in range(K):
                pairs = [(first[s, i, k], second[s, i, k]) for i in images]
                known = [a - b for a, b in pairs if not np.isnan(a)]
                if known:
                    shares.append(np.mean(known))
            differences.append(np.mean(shares))
        values.append(np.mean(differences))
    return np.quantile(values, [0.025, 0.975]), np.mean(np.array(values) > 0)


def test_it_equals_plain_loops():
    first, second = answers(seed=1, chance=0.6), answers(seed=2)
    found = paired_answer_bootstrap(first, second, draws=40, seed=5)
    (low, high), _ = by_loops(first, second, 40, 5)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_the_mean_is_the_difference_of_shares():
    first, second = answers(seed=1, chance=0.6), answers(seed=2)
    expected = np.mean(
        [share_of_yes(a) - share_of_yes(b) for a, b in zip(first, second, strict=True)]
    )
    assert paired_answer_bootstrap(first, second, draws=10).mean == pytest.approx(expected)


@given(st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_swapping_the_models_turns_the_interval_round(seed):
    first, second = answers(seed=seed), answers(seed=seed + 1)
    one = paired_answer_bootstrap(first, second, draws=50)
    other = paired_answer_bootstrap(second, first, draws=50)
    assert (one.mean, one.low, one.high) == pytest.approx((-other.mean, -other.high, -other.low))
    same = paired_answer_bootstrap(first, first, draws=5)
    assert (same.low, same.high, same.probability_positive) == (0, 0, 0.5)


def test_wrong_input_is_named():
    good = answers()
    with pytest.raises(ShapeError, match="one shape"):
        paired_answer_bootstrap(good, good[:1])
    with pytest.raises(ShapeError, match="same places"):
        paired_answer_bootstrap(good, np.zeros_like(good))
    with pytest.raises(DataError, match="nothing is asked"):
        paired_answer_bootstrap(np.full((1, 2, 2), np.nan), np.full((1, 2, 2), np.nan))


def test_answers_are_what_the_shares_are_made_of():
    truths = [[TrueBox(0, (0, 0, 10, 10))], [TrueBox(0, (0, 0, 4, 4), difficult=True)]]
    labels = np.array([[1, 0], [1, 1]])
    boxes = [np.array([[0, 0, 10, 9], [0, 0, 1, 1]]), np.array([[0, 0, 10, 10], [0, 0, 1, 1]])]
    found = correct_localization(boxes, truths, labels, num_classes=2, per_image=True)
    np.testing.assert_array_equal(found, [[1, np.nan], [0, np.nan]])
    shares = correct_localization(boxes, truths, labels, num_classes=2)
    np.testing.assert_array_equal(shares, [0.5, np.nan])
    points = [np.array([[5.0, 5], [0, 0]]), np.array([[5.0, 5], [0, 0]])]
    asked = {"labels": labels, "num_classes": 2, "tolerance": 0.5}
    answers = pointing_game(points, truths, **asked, per_image=True)
    np.testing.assert_array_equal(answers, [[1, np.nan], [0, np.nan]])
    np.testing.assert_array_equal(pointing_game(points, truths, **asked), [0.5, np.nan])
