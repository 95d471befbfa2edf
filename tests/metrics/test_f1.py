import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from boxless.errors import ConfigError, NumericsError, ShapeError
from boxless.metrics.f1 import f1_report, predicted_labels, top_k_mask

MEANS = ("cp", "cr", "f1_c", "cf1", "op", "or_", "of1")


@st.composite
def cases(draw, unknown: bool = True):
    M, K = draw(st.integers(1, 15)), draw(st.integers(1, 6))
    eighths = st.integers(0, 8).map(lambda i: i / 8)
    probabilities = draw(hnp.arrays(np.float64, (M, K), elements=eighths))
    labels = draw(hnp.arrays(np.int8, (M, K), elements=st.integers(-1 if unknown else 0, 1)))
    return probabilities, labels


class TestByHand:
    probabilities = np.array([[0.9, 0.6, 0.1], [0.8, 0.2, 0.3], [0.7, 0.9, 0.2], [0.1, 0.1, 0.4]])
    labels = np.array([[1, 0, 0], [1, 0, 1], [0, 1, 0], [1, 0, 0]])
    # TP 2 1 0, predicted 3 2 0, present 3 1 1

    def test_at_a_threshold(self):
        report = f1_report(self.probabilities, self.labels)
        assert report.precision == pytest.approx([2 / 3, 1 / 2, 0])
        assert report.recall == pytest.approx([2 / 3, 1, 0])
        assert report.f1 == pytest.approx([2 / 3, 2 / 3, 0])
        cp, cr = (2 / 3 + 1 / 2) / 3, (2 / 3 + 1) / 3
        assert (report.cp, report.cr) == pytest.approx((cp, cr))
        assert report.f1_c == pytest.approx(4 / 9)
        assert report.cf1 == pytest.approx(2 * cp * cr / (cp + cr))
        assert (report.op, report.or_) == pytest.approx((3 / 5, 3 / 5))
        assert report.of1 == pytest.approx(3 / 5)
        assert report.excluded == ()

    def test_srn_counts_a_never_predicted_class_as_precise(self):
        zero = f1_report(self.probabilities, self.labels)
        one = f1_report(self.probabilities, self.labels, precision_of_empty="one")
        assert one.precision == pytest.approx([2 / 3, 1 / 2, 1])
        assert one.cp > zero.cp
        assert one.cf1 > zero.cf1
        assert (one.f1_c, one.of1, one.cr) == (zero.f1_c, zero.of1, zero.cr)

    def test_equals_srn_with_epsilon(self):
        # transcription of precision_recall_f1.m: epsilon on both sides of every fraction
        eps = 1e-12
        predicted, truth = self.probabilities > 0.5, self.labels == 1
        tp = (predicted & truth).sum(0)
        precision, recall = (
            (tp + eps) / (predicted.sum(0) + eps),
            (tp + eps) / (truth.sum(0) + eps),
        )
        f1 = 2 * precision * recall / (precision + recall)
        report = f1_report(self.probabilities, self.labels, precision_of_empty="one")
        assert report.precision == pytest.approx(precision, abs=1e-9)
        assert report.recall == pytest.approx(recall, abs=1e-9)
        assert report.f1_c == pytest.approx(f1.mean(), abs=1e-9)

    def test_threshold_is_strict_and_may_differ_by_class(self):
        probabilities = np.array([[0.5, 0.5]])
        assert not predicted_labels(probabilities).any()
        assert predicted_labels(probabilities, threshold=[0.5, 0.4]).tolist() == [[False, True]]

    def test_top_k_meets_threshold_or_is_forced(self):
        probabilities = np.array([[0.9, 0.8, 0.7, 0.6], [0.9, 0.1, 0.3, 0.2]])
        both = predicted_labels(probabilities, top_k=3)
        assert both.tolist() == [[True, True, True, False], [True, False, False, False]]
        forced = predicted_labels(probabilities, top_k=3, forced=True)
        assert forced.tolist() == [[True, True, True, False], [True, False, True, True]]

    def test_ties_at_the_edge_go_to_the_lower_class(self):
        scores = np.array([[0.2, 0.5, 0.5, 0.5, 0.9], [0.5] * 5])
        assert top_k_mask(scores, 3).tolist() == [
            [False, True, True, False, True],
            [True, True, True, False, False],
        ]
        assert top_k_mask(scores, 9).all()

    def test_classes_without_positives_are_left_out_of_class_means_only(self):
        probabilities = np.array([[0.9, 0.9], [0.1, 0.9]])
        report = f1_report(probabilities, np.array([[1, 0], [0, 0]]))
        assert report.excluded == (1,)
        assert np.isnan([report.precision[1], report.recall[1], report.f1[1]]).all()
        assert (report.cp, report.cr, report.f1_c) == (1, 1, 1)
        assert report.op == pytest.approx(1 / 3)  # its false positives still count overall

    def test_unknown_takes_a_place_but_is_not_counted(self):
        probabilities = np.array([[0.9, 0.8, 0.7]])
        report = f1_report(probabilities, np.array([[-1, 1, 1]]), top_k=2, forced=True)
        assert (report.op, report.or_) == (1, 0.5)
        assert report.excluded == (0,)

    def test_no_positive_anywhere_is_nan(self):
        report = f1_report(np.array([[0.9]]), np.array([[0]]))
        assert np.isnan([report.cp, report.f1_c, report.cf1, report.or_, report.of1]).all()
        assert report.op == 0


class TestReference:
    rng = np.random.default_rng(0)
    probabilities = rng.random((200, 9))
    labels = (rng.random((200, 9)) < 0.3).astype(np.int8)

    @pytest.mark.parametrize("choice", [{}, {"top_k": 3}, {"top_k": 3, "forced": True}])
    def test_equals_scikit_learn(self, choice):
        sklearn = pytest.importorskip("sklearn.metrics")
        report = f1_report(self.probabilities, self.labels, **choice)
        predicted = predicted_labels(self.probabilities, **choice)
        for average, names in {
            "macro": ("cp", "cr", "f1_c"),
            "micro": ("op", "or_", "of1"),
        }.items():
            theirs = sklearn.precision_recall_fscore_support(
                self.labels, predicted, average=average, zero_division=0
            )[:3]
            assert [getattr(report, name) for name in names] == pytest.approx(theirs, abs=1e-12)

    def test_equals_torchmetrics(self):
        torch = pytest.importorskip("torch")
        functional = pytest.importorskip("torchmetrics.functional.classification")
        report = f1_report(self.probabilities, self.labels)
        for average, value in (("macro", report.f1_c), ("micro", report.of1)):
            theirs = functional.multilabel_f1_score(
                torch.from_numpy(self.probabilities),
                torch.from_numpy(self.labels.astype(np.int64)),
                num_labels=9,
                average=average,
            )
            assert float(theirs) == pytest.approx(value, abs=1e-6)

    def test_top_k_equals_a_stable_sort(self):
        scores = np.random.default_rng(1).integers(0, 4, (300, 8)) / 4
        expected = np.zeros(scores.shape, bool)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :3]
        np.put_along_axis(expected, order, True, axis=1)
        np.testing.assert_array_equal(top_k_mask(scores, 3), expected)


class TestLaws:
    @given(cases(), st.sampled_from([{}, {"top_k": 2}, {"top_k": 2, "forced": True}]))
    @settings(max_examples=80, deadline=None)
    def test_values_are_fractions_and_order_does_not_matter(self, case, choice):
        probabilities, labels = case
        report = f1_report(probabilities, labels, **choice)
        for name in MEANS:
            value = getattr(report, name)
            assert np.isnan(value) or 0 <= value <= 1 + 1e-12
        turned = f1_report(probabilities[::-1], labels[::-1], **choice)
        np.testing.assert_allclose(
            [getattr(report, name) for name in MEANS], [getattr(turned, name) for name in MEANS]
        )

    @given(cases(), st.sampled_from(["zero", "one"]))
    @settings(max_examples=60, deadline=None)
    def test_unknown_equals_deleting_the_entry(self, case, empty):
        probabilities, labels = case
        report = f1_report(probabilities, labels, precision_of_empty=empty)
        for k in range(labels.shape[1]):
            known = labels[:, k] != -1
            alone = f1_report(
                probabilities[known][:, [k]], labels[known][:, [k]], precision_of_empty=empty
            )
            np.testing.assert_array_equal(alone.precision, report.precision[[k]])
            np.testing.assert_array_equal(alone.recall, report.recall[[k]])
            np.testing.assert_array_equal(alone.f1, report.f1[[k]])

    @given(cases(unknown=False))
    @settings(max_examples=40, deadline=None)
    def test_mean_of_f1_is_at_most_f1_of_means(self, case):
        # the harmonic mean is concave (Jensen)
        report = f1_report(*case)
        assert np.isnan(report.f1_c) or report.f1_c <= report.cf1 + 1e-12


class TestErrors:
    def test_logits(self):
        with pytest.raises(NumericsError, match=r"-1\.5 at image row 1, class 0.*\n.*sigmoid"):
            f1_report(np.array([[0.2], [-1.5]]), np.array([[0], [1]]))

    def test_thresholds(self):
        with pytest.raises(ShapeError, match="3 classes"):
            f1_report(np.zeros((2, 3)), np.zeros((2, 3), int), threshold=[0.5, 0.5])

    @pytest.mark.parametrize(
        "choice", [{"top_k": 0}, {"forced": True}, {"precision_of_empty": "two"}]
    )
    def test_choices(self, choice):
        with pytest.raises(ConfigError):
            f1_report(np.zeros((2, 3)), np.zeros((2, 3), int), **choice)
