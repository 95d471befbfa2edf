"""What the plots compute before they draw."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from boxless.report import plots
from boxless.report.results import parse_results


def test_classes_are_sorted_by_training_frequency(make):
    value = make()
    value["data"]["train_positives"] = [5, 50, 5]
    results = parse_results(value)
    assert plots.by_frequency(results) == [1, 0, 2]
    drawn = plots.gain_per_class(results)
    assert drawn.index("class 1: +5.0 points, 50 images") < drawn.index("class 0: +5.0 points")


def test_gains_pair_the_seeds_that_both_students_have(make):
    value = make(seeds=3)
    value["variants"]["plain"]["seeds"].pop(1)
    value["variants"]["regions"]["seeds"].reverse()
    value["variants"]["regions"]["seeds"][0]["metrics"]["per_class_ap"][0] = None
    gains = plots.seed_gains(parse_results(value))
    assert gains[0] == [pytest.approx(0.05)]
    assert gains[1] == [pytest.approx(0.05)] * 2


def test_plots_that_lack_their_data_are_none(make):
    results = parse_results(make(gain=False))
    assert plots.gain_per_class(results) is None
    assert plots.dumbbell(results) is None
    assert plots.learning_curves({}) is None
    assert plots.learning_curves({"teacher": [{"update": 1, "loss": float("inf")}, {}]}) is None


def test_runs_of_a_name_share_a_panel():
    events = [{"update": i, "loss": 1.0} for i in range(5)]
    drawn = plots.learning_curves({"stage1/0": events, "stage1/1": events, "teacher": events})
    assert re.findall('aria-label="Training loss of ([^"]*)"', drawn) == ["stage1", "teacher"]
    assert len(set(re.findall(r'\bid="([^"]*)"', drawn))) == drawn.count(' id="')


def test_a_heavy_skew_of_frequencies_is_drawn_logarithmically(make):
    value = make()
    value["data"]["train_positives"] = [100_000, 10, 10]
    assert "10,000" in plots.gain_per_class(parse_results(value))
    value["data"]["train_positives"] = [100, 10, 10]
    assert "1,000" not in plots.gain_per_class(parse_results(value))


@settings(max_examples=40, deadline=None)
@given(arrays(np.float64, st.integers(1, 200), elements=st.floats(-100, 100)))
def test_moving_mean_stays_within_the_values(values):
    smooth = plots.moving_mean(values)
    assert smooth.shape == values.shape
    assert smooth.min() >= values.min() - 1e-9
    assert smooth.max() <= values.max() + 1e-9


def test_moving_mean_of_a_line_is_the_line_inside():
    line = np.arange(90.0)
    np.testing.assert_allclose(plots.moving_mean(line)[3:-3], line[3:-3])
