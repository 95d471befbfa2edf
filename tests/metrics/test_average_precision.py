import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from boxless.errors import ConfigError, DataError, NumericsError, ShapeError
from boxless.metrics.average_precision import average_precision, mean_average_precision

METHODS = ("envelope", "non_interpolated", "eleven_point")


def column(values) -> np.ndarray:
    return np.array(values)[:, None]


def random_case(seed: int, images: int = 300, classes: int = 7, levels: int | None = None):
    rng = np.random.default_rng(seed)
    labels = (rng.random((images, classes)) < np.linspace(0.02, 0.6, classes)).astype(np.int8)
    scores = rng.normal(size=labels.shape) + labels
    if levels:
        scores = np.round(scores * levels) / levels
    return scores, labels


@st.composite
def cases(draw, unknown: bool = False):
    M, K = draw(st.integers(1, 25)), draw(st.integers(1, 4))
    levels = st.integers(-6, 6).map(lambda i: i / 2)
    scores = draw(hnp.arrays(np.float64, (M, K), elements=levels))
    labels = draw(hnp.arrays(np.int8, (M, K), elements=st.integers(-1 if unknown else 0, 1)))
    return scores, labels


class TestByHand:
    # ranks of the positives: 2, 3, 6 -> precisions 1/2, 2/3, 3/6
    scores = column([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    labels = column([0, 1, 1, 0, 0, 1])

    def test_non_interpolated(self):
        value = average_precision(self.scores, self.labels, method="non_interpolated")
        assert value == pytest.approx([(1 / 2 + 2 / 3 + 1 / 2) / 3])

    def test_envelope(self):
        value = average_precision(self.scores, self.labels)
        assert value == pytest.approx([(2 / 3 + 2 / 3 + 1 / 2) / 3])

    def test_eleven_point(self):
        # recalls 1/3, 2/3, 1: levels 0..0.6 (7 of them) see 2/3, levels 0.7..1 (4) see 1/2
        value = average_precision(self.scores, self.labels, method="eleven_point")
        assert value == pytest.approx([(7 * 2 / 3 + 4 * 1 / 2) / 11])

    def test_eleven_point_compares_recalls_exactly(self):
        # ten positives, the third found at recall exactly 0.3 = 3 / 10
        labels = np.array([1, 1, 1] + [0] * 90 + [1] * 7)[:, None]
        scores = -np.arange(100.0)[:, None]
        value = average_precision(scores, labels, method="eleven_point")
        late = [i / (90 + i) for i in range(4, 11)]
        expected = (4 * 1.0 + sum(max(late[i:]) for i in range(7))) / 11
        assert value == pytest.approx([expected])

    def test_ties_are_one_threshold(self):
        value = average_precision(column([0.5] * 4), column([1, 0, 0, 1]))
        assert value == pytest.approx([0.5])

    def test_class_without_positives_is_nan(self):
        value = average_precision(np.ones((3, 2)), np.array([[1, 0], [0, 0], [0, -1]]))
        assert np.isnan(value[1])
        assert not np.isnan(value[0])

    def test_no_images_and_no_classes(self):
        assert np.isnan(average_precision(np.zeros((0, 3)), np.zeros((0, 3), int))).all()
        assert average_precision(np.zeros((3, 0)), np.zeros((3, 0), int)).shape == (0,)


class TestReference:
    @pytest.mark.parametrize("levels", [None, 2, 20])
    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
    def test_equals_scikit_learn(self, levels, dtype):
        sklearn = pytest.importorskip("sklearn.metrics")
        scores, labels = random_case(1, images=2000, levels=levels)
        scores = scores.astype(dtype)
        ours = average_precision(scores, labels, method="non_interpolated")
        theirs = [sklearn.average_precision_score(labels[:, k], scores[:, k]) for k in range(7)]
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9)

    def test_equals_torchmetrics(self):
        torch = pytest.importorskip("torch")
        functional = pytest.importorskip("torchmetrics.functional.classification")
        scores, labels = random_case(2, levels=10)
        probabilities = (1 / (1 + np.exp(-scores))).astype(np.float32)
        theirs = functional.multilabel_average_precision(
            torch.from_numpy(probabilities),
            torch.from_numpy(labels.astype(np.int64)),
            num_labels=7,
            average="none",
        )
        ours = average_precision(probabilities, labels, method="non_interpolated")
        np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-6)

    @pytest.mark.parametrize("method", METHODS)
    def test_equals_the_definition(self, method):
        scores, labels = random_case(3, images=60, levels=3)
        labels[::7, 2] = -1
        ours = average_precision(scores, labels, method=method)
        for k in range(7):
            known = labels[:, k] != -1
            assert ours[k] == pytest.approx(
                by_definition(scores[known, k], labels[known, k], method), abs=1e-12, nan_ok=True
            )

    def test_many_classes(self):
        scores, labels = random_case(4, images=40, classes=300)
        one_by_one = [
            average_precision(scores[:, [k]], labels[:, [k]])[0] for k in range(scores.shape[1])
        ]
        np.testing.assert_array_equal(average_precision(scores, labels), one_by_one)


def by_definition(scores, labels, method) -> float:
    """Walk through all thresholds, nothing clever."""
    points = []
    for t in sorted(set(scores), reverse=True):
        chosen = scores >= t
        hits = int((labels[chosen] == 1).sum())
        points.append((hits, hits / chosen.sum()))
    P = int((labels == 1).sum())
    if P == 0:
        return float("nan")
    if method == "eleven_point":
        return float(
            np.mean([max(p for h, p in points if 10 * h >= i * P) for i in range(11)]),
        )
    area, before = 0.0, 0
    for hits, precision in points:
        best = max(p for h, p in points if h >= hits) if method == "envelope" else precision
        area += (hits - before) / P * best
        before = hits
    return area


class TestLaws:
    @given(cases(unknown=True), st.sampled_from(METHODS))
    @settings(max_examples=60, deadline=None)
    def test_monotone_maps_change_nothing(self, case, method):
        scores, labels = case
        expected = average_precision(scores, labels, method=method)
        for mapped in (3 * scores - 7, 1 / (1 + np.exp(-scores)), scores**3):
            np.testing.assert_array_equal(
                average_precision(mapped, labels, method=method), expected
            )

    @given(cases(unknown=True), st.sampled_from(METHODS), st.randoms(use_true_random=False))
    @settings(max_examples=60, deadline=None)
    def test_order_of_images_changes_nothing(self, case, method, random):
        scores, labels = case
        order = list(range(len(scores)))
        random.shuffle(order)
        np.testing.assert_array_equal(
            average_precision(scores[order], labels[order], method=method),
            average_precision(scores, labels, method=method),
        )

    @given(cases(unknown=True))
    @settings(max_examples=60, deadline=None)
    def test_range_and_order_of_the_definitions(self, case):
        envelope, raw, eleven = (average_precision(*case, method=method) for method in METHODS)
        for values in (envelope, raw, eleven):
            known = values[~np.isnan(values)]
            assert ((known >= 0) & (known <= 1 + 1e-12)).all()
        assert (envelope >= raw - 1e-12)[~np.isnan(raw)].all()

    @given(cases(unknown=True), st.sampled_from(METHODS))
    @settings(max_examples=60, deadline=None)
    def test_unknown_equals_deleting_the_entry(self, case, method):
        scores, labels = case
        together = average_precision(scores, labels, method=method)
        for k in range(labels.shape[1]):
            known = labels[:, k] != -1
            alone = average_precision(scores[known][:, [k]], labels[known][:, [k]], method=method)
            np.testing.assert_array_equal(alone, together[[k]])

    @given(cases())
    @settings(max_examples=40, deadline=None)
    def test_perfect_ranking_is_one(self, case):
        _, labels = case
        value = average_precision(labels.astype(float), labels)
        assert (value[labels.any(axis=0)] == 1).all()


class TestMean:
    def test_leaves_out_absent_classes_by_name(self):
        labels = np.array([[1, 0, 0], [0, 0, 1]])
        scores = np.array([[0.9, 0.1, 0.9], [0.1, 0.2, 0.1]])
        mean = mean_average_precision(scores, labels, classes=["cat", "dog", "cow"])
        assert mean.excluded == ("dog",)
        assert mean.value == pytest.approx((1.0 + 0.5) / 2)
        assert mean.per_class.shape == (3,)

    def test_nothing_at_all_is_nan_without_a_warning(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            mean = mean_average_precision(np.ones((2, 1)), np.zeros((2, 1), int), classes=["cat"])
        assert np.isnan(mean.value)

    def test_one_name_a_class(self):
        with pytest.raises(ShapeError, match="2 columns, got 1"):
            mean_average_precision(np.ones((2, 2)), np.ones((2, 2), int), classes=["cat"])


class TestErrors:
    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_not_finite_names_row_and_class(self, bad):
        scores = np.zeros((5, 4))
        scores[3, 2] = bad
        with pytest.raises(NumericsError, match=r"row 3, class 2 \(1 such"):
            average_precision(scores, np.zeros((5, 4), int))

    @pytest.mark.parametrize("shape", [(5, 3), (4, 5), (20,)])
    def test_shapes(self, shape):
        with pytest.raises(ShapeError, match="same shape"):
            average_precision(np.zeros((5, 4)), np.zeros(shape, int))

    def test_other_labels(self):
        labels = np.zeros((2, 2), int)
        labels[1, 0] = 2
        with pytest.raises(DataError, match=r"found 2 at \[1, 0\]"):
            average_precision(np.zeros((2, 2)), labels)

    def test_swapped_arguments(self):
        with pytest.raises(DataError, match="integers"):
            average_precision(np.zeros((2, 2), int), np.full((2, 2), 0.3))

    def test_unknown_method(self):
        with pytest.raises(ConfigError, match="envelope"):
            average_precision(np.zeros((2, 2)), np.zeros((2, 2), int), method="envelop")

    def test_inputs_are_not_written_to(self):
        scores, labels = random_case(5)
        labels[0] = -1
        before = scores.copy(), labels.copy()
        average_precision(scores, labels)
        np.testing.assert_array_equal(scores, before[0])
        np.testing.assert_array_equal(labels, before[1])


@pytest.mark.parametrize("method", ["envelope", "non_interpolated", "eleven_point"])
def test_many_classes_at_once_are_what_each_is_alone(method):
    """Large matrices go to threads in groups of classes; the last group is incomplete."""
    generator = np.random.default_rng(4)
    labels = generator.choice(np.array([1, 0, 0, 0, -1], np.int8), (8000, 35))
    labels[:, 20] = 0
    scores = np.round(generator.random(labels.shape) + 0.3 * labels, 2).astype(np.float32)
    together = average_precision(scores, labels, method=method)
    alone = [average_precision(scores[:, [k]], labels[:, [k]], method=method)[0] for k in range(35)]
    np.testing.assert_array_equal(together, alone)
    assert np.isnan(together).tolist() == [k == 20 for k in range(35)]
