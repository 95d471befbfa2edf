import json

import numpy as np
import pytest

from boxless.metrics.average_precision import mean_average_precision
from boxless.metrics.f1 import f1_report
from boxless.metrics.summary import classification_summary

KEYS = {"cp", "cr", "f1_c", "cf1", "op", "or", "of1"}


def test_holds_every_metric_and_is_json():
    rng = np.random.default_rng(0)
    classes = ["cat", "dog", "cow", "hen", "bee"]
    probabilities = rng.random((50, 5)).astype(np.float32)
    labels = (rng.random((50, 5)) < 0.4).astype(np.int8)
    labels[:, 3] = 0
    summary = json.loads(json.dumps(classification_summary(probabilities, labels, classes)))
    assert set(summary) == {
        "map",
        "map_non_interpolated",
        "map_eleven_point",
        "per_class_ap",
        "excluded_classes",
        "f1",
    }
    mean = mean_average_precision(probabilities, labels, classes=classes)
    assert summary["map"] == mean.value
    assert summary["per_class_ap"][3] is None
    assert summary["per_class_ap"][0] == mean.per_class[0]
    assert summary["excluded_classes"] == ["hen"]
    for key, method in (
        ("map_non_interpolated", "non_interpolated"),
        ("map_eleven_point", "eleven_point"),
    ):
        other = mean_average_precision(probabilities, labels, classes=classes, method=method)
        assert summary[key] == other.value
    choices = {"all": {}, "top3": {"top_k": 3}, "top3_forced": {"top_k": 3, "forced": True}}
    assert set(summary["f1"]) == set(choices)
    for name, choice in choices.items():
        assert set(summary["f1"][name]) == KEYS
        report = f1_report(probabilities, labels, **choice)
        assert summary["f1"][name]["of1"] == report.of1
        assert summary["f1"][name]["or"] == report.or_


def test_threshold_reaches_all_and_top3_but_not_forced():
    rng = np.random.default_rng(1)
    probabilities, labels = rng.random((30, 4)), (rng.random((30, 4)) < 0.5).astype(int)
    low, high = (
        classification_summary(probabilities, labels, list("abcd"), threshold=[t] * 4)["f1"]
        for t in (0.1, 0.9)
    )
    assert low["all"]["or"] > high["all"]["or"]
    assert low["top3"]["or"] > high["top3"]["or"]
    assert low["top3_forced"] == high["top3_forced"]


def test_nothing_to_compute_is_null():
    summary = classification_summary(np.array([[0.9]]), np.array([[0]]), ["cat"])
    assert summary["map"] is None
    assert summary["f1"]["all"]["f1_c"] is None
    assert summary["f1"]["all"]["op"] == pytest.approx(0)
    json.dumps(summary, allow_nan=False)
