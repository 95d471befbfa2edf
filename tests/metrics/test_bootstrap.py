import numpy as np
import pytest

from boxless.errors import ConfigError, DataError, NumericsError, ShapeError
from boxless.metrics import bootstrap
from boxless.metrics.average_precision import average_precision
from boxless.metrics.bootstrap import drawn_counts, paired_bootstrap, resampled_map


def case(seeds: int = 2, images: int = 70, classes: int = 4):
    rng = np.random.default_rng(5)
    labels = (rng.random((images, classes)) < [0.04, 0.2, 0.5, 0.3]).astype(np.int8)
    labels[rng.random(labels.shape) < 0.05] = -1
    first = np.round((rng.normal(size=(seeds, images, classes)) + labels) * 2) / 2  # many ties
    second = np.round((rng.normal(size=(seeds, images, classes)) + 0.4 * labels) * 2) / 2
    return first, second, labels


def naive(first, second, labels, *, draws, seed, method, resample_seeds):
    """Build every resampled data set and score it."""
    S, M = first.shape[:2]
    counts = drawn_counts(np.random.default_rng(seed), draws, M)
    weights = np.ones((draws, S))
    if resample_seeds:
        weights = drawn_counts(np.random.default_rng([seed, 1]), draws, S)
    values = []
    for drawn, weight in zip(counts, weights, strict=True):
        rows = np.repeat(np.arange(M), drawn)
        gaps = [
            np.nanmean(average_precision(first[s][rows], labels[rows], method=method))
            - np.nanmean(average_precision(second[s][rows], labels[rows], method=method))
            for s in range(S)
        ]
        values.append(np.dot(gaps, weight) / S)
    return np.array(values)


@pytest.mark.parametrize("method", ["envelope", "non_interpolated", "eleven_point"])
@pytest.mark.parametrize("resample_seeds", [True, False])
def test_equals_naive_resampling(method, resample_seeds):
    first, second, labels = case()
    chosen = {"draws": 60, "seed": 3, "method": method, "resample_seeds": resample_seeds}
    values = naive(first, second, labels, **chosen)
    found = paired_bootstrap(first, second, labels, level=0.9, **chosen)
    low, high = np.quantile(values, [0.05, 0.95])
    assert found.low == pytest.approx(low, abs=1e-9)
    assert found.high == pytest.approx(high, abs=1e-9)
    assert found.probability_positive == pytest.approx((values > 0).mean(), abs=1e-9)
    assert found.draws == 60
    observed = np.mean(
        [
            np.nanmean(average_precision(a, labels, method=method))
            - np.nanmean(average_precision(b, labels, method=method))
            for a, b in zip(first, second, strict=True)
        ]
    )
    assert found.mean == pytest.approx(observed, abs=1e-12)


def test_every_single_draw_equals_naive_resampling():
    first, second, labels = case(seeds=1)
    values = naive(first, second, labels, draws=25, seed=1, method="envelope", resample_seeds=False)
    # quantiles at the ends are the smallest and the largest draw of ever longer runs
    for draws in range(1, 26):
        found = paired_bootstrap(first, second, labels, draws=draws, seed=1, level=1 - 1e-12)
        assert found.low == pytest.approx(values[:draws].min(), abs=1e-9)
        assert found.high == pytest.approx(values[:draws].max(), abs=1e-9)


def test_blocks_do_not_change_the_result(monkeypatch):
    first, second, labels = case()
    whole = paired_bootstrap(first, second, labels, draws=50)
    monkeypatch.setattr(bootstrap, "_ELEMENTS_AT_ONCE", 300)
    assert paired_bootstrap(first, second, labels, draws=50) == whole


def test_seeds_are_drawn_by_default_only_if_there_are_several():
    first, second, labels = case(seeds=2)
    drawn = paired_bootstrap(first, second, labels, draws=50)
    assert drawn == paired_bootstrap(first, second, labels, draws=50, resample_seeds=True)
    assert drawn != paired_bootstrap(first, second, labels, draws=50, resample_seeds=False)
    alone = paired_bootstrap(first[0], second[0], labels, draws=50)
    assert alone == paired_bootstrap(first[:1], second[:1], labels, draws=50, resample_seeds=False)


def test_equal_models_have_no_difference():
    first, _, labels = case()
    found = paired_bootstrap(first, first, labels, draws=40)
    assert (found.mean, found.low, found.high, found.probability_positive) == (0, 0, 0, 0.5)


def test_swapping_the_models_turns_the_interval():
    first, second, labels = case()
    one = paired_bootstrap(first, second, labels, draws=40)
    other = paired_bootstrap(second, first, labels, draws=40)
    assert (other.mean, other.low, other.high) == pytest.approx((-one.mean, -one.high, -one.low))
    assert other.probability_positive == pytest.approx(1 - one.probability_positive)


def test_interval_narrows_with_more_images_and_covers_the_truth():
    rng = np.random.default_rng(0)
    widths = []
    for images in (100, 1600):
        labels = (rng.random((images, 3)) < 0.3).astype(np.int8)
        first, second = (rng.normal(size=labels.shape) + gain * labels for gain in (2.0, 1.0))
        found = paired_bootstrap(first, second, labels, draws=200)
        widths.append(found.high - found.low)
        assert found.low < found.mean < found.high
    assert found.probability_positive == 1
    assert 2.5 < widths[0] / widths[1] < 6  # about sqrt(16)


def test_counts_add_up():
    counts = drawn_counts(np.random.default_rng(0), 5, 40)
    assert (counts.sum(axis=1) == 40).all()
    assert counts.shape == (5, 40)


def test_draws_without_positives_are_left_out():
    labels = np.zeros((3, 1), int)
    labels[0] = 1
    scores = np.arange(3.0)[:, None]
    found = paired_bootstrap(scores, -scores, labels, draws=200)
    assert 100 < found.draws < 180  # 1 - (2/3)^3 = 70 %


class TestErrors:
    labels = np.array([[1, 0], [0, 1]])

    def test_shapes(self):
        with pytest.raises(ShapeError, match="scores_b"):
            paired_bootstrap(np.zeros((2, 2)), np.zeros((2, 3)), self.labels)
        with pytest.raises(ShapeError, match="same number of seeds"):
            paired_bootstrap(np.zeros((2, 2, 2)), np.zeros((3, 2, 2)), self.labels)

    def test_not_finite(self):
        bad = np.zeros((2, 2, 2))
        bad[1, 0, 1] = np.nan
        with pytest.raises(NumericsError, match=r"scores_a.*row 0, class 1, seed 1"):
            paired_bootstrap(bad, np.zeros((2, 2, 2)), self.labels)

    def test_no_positive(self):
        with pytest.raises(DataError, match="no class has a positive"):
            paired_bootstrap(np.zeros((2, 2)), np.zeros((2, 2)), 0 * self.labels, draws=3)

    @pytest.mark.parametrize("choice", [{"draws": 0}, {"level": 1.0}, {"method": "area"}])
    def test_choices(self, choice):
        with pytest.raises(ConfigError):
            paired_bootstrap(np.zeros((2, 2)), np.zeros((2, 2)), self.labels, **choice)


def test_resampled_values_of_two_models_are_paired():
    """Their difference is what the paired bootstrap looks at, over the same images."""
    generator = np.random.default_rng(3)
    labels = generator.integers(0, 2, (40, 3))
    first, second = generator.random((2, 2, 40, 3))
    a, b = (resampled_map(scores, labels, draws=200) for scores in (first, second))
    assert a.shape == (201, 2)
    found = paired_bootstrap(first, second, labels, draws=200, resample_seeds=False)
    assert found.mean == pytest.approx((a - b)[0].mean())
    ends = np.quantile((a - b)[1:].mean(axis=1), [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx(tuple(ends))
    assert np.array_equal(resampled_map(first[0], labels, draws=200)[:, 0], a[:, 0])
