"""Classification and localization metrics; NumPy alone, never torch (whose tensors they take).

`MultiLabelMetrics` gathers batches and computes everything at once; the functions take whole
arrays: (M, K) scores or probabilities, and labels of 1 (present), 0 (absent), -1 (unknown).
"""

from boxless.metrics.average_precision import (
    MeanAP,
    average_precision,
    mean_average_precision,
)
from boxless.metrics.bootstrap import Interval, paired_bootstrap
from boxless.metrics.calibration import Calibration, fit_calibration
from boxless.metrics.calibration_error import expected_calibration_error
from boxless.metrics.f1 import F1Report, f1_report
from boxless.metrics.localization import (
    correct_localization,
    detection_average_precision,
    pointing_game,
)
from boxless.metrics.multi_label import MultiLabelMetrics
from boxless.metrics.summary import MultiLabelReport, multi_label_report
from boxless.metrics.suspicion import tag_suspicion

__all__ = [
    "Calibration",
    "F1Report",
    "Interval",
    "MeanAP",
    "MultiLabelMetrics",
    "MultiLabelReport",
    "average_precision",
    "correct_localization",
    "detection_average_precision",
    "expected_calibration_error",
    "f1_report",
    "fit_calibration",
    "mean_average_precision",
    "multi_label_report",
    "paired_bootstrap",
    "pointing_game",
    "tag_suspicion",
]
