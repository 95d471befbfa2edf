"""MultiLabelMetrics: equal to the functions, whatever the batches and the kind of array."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from boxless.errors import DataError, NumericsError, ShapeError
from boxless.metrics import (
    MultiLabelMetrics,
    average_precision,
    expected_calibration_error,
    f1_report,
    mean_average_precision,
    multi_label_report,
)

CLASSES = ("cat", "dog", "a tall giraffe")


def draw(seed, images=30):
    generator = np.random.default_rng(seed)
    labels = generator.integers(-1, 2, (images, len(CLASSES))).astype(np.int8)
    labels[:3] = np.eye(3, dtype=np.int8)
    return generator.random(labels.shape).astype(np.float32), labels


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.lists(st.integers(0, 30), max_size=4))
def test_batches_do_not_matter(seed, cuts):
    probabilities, labels = draw(seed)
    thresholds = (0.3, 0.5, 0.7)
    metrics = MultiLabelMetrics(CLASSES, threshold=thresholds)
    for rows in np.split(np.arange(30), sorted(cuts)):
        metrics.update(probabilities[rows], labels[rows])
    found = metrics.compute()
    for name, method in (
        ("map", "envelope"),
        ("map_non_interpolated", "non_interpolated"),
        ("map_eleven_point", "eleven_point"),
    ):
        expected = mean_average_precision(probabilities, labels, classes=CLASSES, method=method)
        assert getattr(found, name) == expected.value
    np.testing.assert_array_equal(found.ap, average_precision(probabilities, labels))
    for part, options in (
        (found.f1, {"threshold": thresholds}),
        (found.top3, {"threshold": thresholds, "top_k": 3}),
        (found.top3_forced, {"top_k": 3, "forced": True}),
    ):
        expected = f1_report(probabilities, labels, **options)
        assert (part.cp, part.cr, part.f1_c, part.cf1) == (
            expected.cp, expected.cr, expected.f1_c, expected.cf1,
        )  # fmt: skip
        assert (part.op, part.or_, part.of1) == (expected.op, expected.or_, expected.of1)
    assert found.calibration_error == expected_calibration_error(probabilities, labels)
    assert found.positives == tuple((labels == 1).sum(0))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("label_dtype", [torch.int64, torch.float32, torch.int8])
def test_tensors_are_arrays(dtype, label_dtype):
    probabilities, labels = draw(1)
    tensor = torch.tensor(probabilities, dtype=dtype, requires_grad=True)
    metrics = MultiLabelMetrics(CLASSES)
    metrics.update(tensor, torch.tensor(labels, dtype=label_dtype))
    expected = multi_label_report(tensor.detach().float().numpy(), labels, CLASSES)
    assert str(metrics.compute()) == str(expected)


def test_functions_take_tensors_too():
    probabilities, labels = draw(2)
    found = average_precision(torch.tensor(probabilities), torch.tensor(labels))
    np.testing.assert_array_equal(found, average_precision(probabilities, labels))


def test_reset_forgets_and_later_changes_of_a_batch_do_not_count():
    probabilities, labels = draw(3)
    metrics = MultiLabelMetrics(CLASSES)
    metrics.update(1 - probabilities, labels)
    metrics.reset()
    batch = probabilities.copy()
    metrics.update(batch, labels)
    batch[:] = 0
    assert metrics.compute().map == multi_label_report(probabilities, labels, CLASSES).map


def test_nothing_to_compute():
    metrics = MultiLabelMetrics(CLASSES)
    with pytest.raises(DataError, match=r"call update"):
        metrics.compute()
    metrics.update(np.zeros((0, 3)), np.zeros((0, 3), np.int8))
    with pytest.raises(DataError, match=r"call update"):
        metrics.compute()


@pytest.mark.parametrize(
    ("probabilities", "labels", "error"),
    [
        ([[0.5, 0.5]], [[1, 0]], ShapeError),
        ([[0.5, 0.5, 1.5]], [[1, 0, 0]], NumericsError),
        ([[0.5, 0.5, np.nan]], [[1, 0, 0]], NumericsError),
        ([[0.5, 0.5, 0.5]], [[1, 0, 2]], DataError),
        ([[0.5, 0.5, 0.5]], [[1.0, 0.0, 0.5]], DataError),
        ([[0.5, 0.5, 0.5]], [1, 0, 0], ShapeError),
    ],
)
def test_a_wrong_batch_is_refused_at_once(probabilities, labels, error):
    with pytest.raises(error):
        MultiLabelMetrics(CLASSES).update(probabilities, labels)


def test_report_prints_an_aligned_table():
    text = str(
        multi_label_report([[0.9, 0.8, 0.1], [0.4, 0.7, 0.2]], [[1, 0, 0], [0, 1, 0]], CLASSES)
    )
    lines = text.splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[0].split() == ["class", "images", "AP", "precision", "recall", "F1"]
    assert lines[1].split() == ["cat", "1", "1.000", "1.000", "1.000", "1.000"]
    assert lines[2].split() == ["dog", "1", "0.500", "0.500", "1.000", "0.667"]
    assert lines[3].split() == ["a", "tall", "giraffe", "0"]  # no image, no value
    assert lines[4].split()[:3] == ["mean", "2", "0.750"]


def test_metrics_never_import_torch():
    code = "import sys, boxless.metrics; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
