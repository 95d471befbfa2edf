"""All classification metrics of one model as plain JSON values."""

import math
from collections.abc import Sequence
from typing import Any

from numpy.typing import ArrayLike

from boxless.metrics.average_precision import mean_average_precision
from boxless.metrics.f1 import F1Report, f1_report


def classification_summary(
    probabilities: ArrayLike,
    labels: ArrayLike,
    classes: Sequence[str],
    *,
    threshold: float | ArrayLike = 0.5,
) -> dict[str, Any]:
    """Compute every classification metric that the result tables print.

    Args:
        probabilities: (M, K) values in [0, 1].
        labels: (M, K) values of {1, 0, -1}.
        classes: K names.
        threshold: One number, or (K,) one a class.

    Returns:
        ``map`` (envelope), ``map_non_interpolated``, ``map_eleven_point``, ``per_class_ap``
        (envelope; None for excluded classes), ``excluded_classes`` (names), and ``f1`` with
        ``all``, ``top3`` and ``top3_forced``, each ``{cp, cr, f1_c, cf1, op, or, of1}``. Fractions
        in [0, 1]; None where nothing can be computed.

    Raises:
        ShapeError: If shapes do not fit.
        NumericsError: If a probability is not in [0, 1].
        DataError: If a label is not 1, 0 or -1.
    """
    envelope = mean_average_precision(probabilities, labels, classes=classes)
    raw = mean_average_precision(probabilities, labels, classes=classes, method="non_interpolated")
    eleven = mean_average_precision(probabilities, labels, classes=classes, method="eleven_point")
    everything = f1_report(probabilities, labels, threshold=threshold)
    top3 = f1_report(probabilities, labels, threshold=threshold, top_k=3)
    forced = f1_report(probabilities, labels, top_k=3, forced=True)
    return {
        "map": _json(envelope.value),
        "map_non_interpolated": _json(raw.value),
        "map_eleven_point": _json(eleven.value),
        "per_class_ap": [_json(float(value)) for value in envelope.per_class],
        "excluded_classes": list(envelope.excluded),
        "f1": {"all": _f1(everything), "top3": _f1(top3), "top3_forced": _f1(forced)},
    }


def _f1(report: F1Report) -> dict[str, float | None]:
    """The seven means of a report."""
    return {
        "cp": _json(report.cp),
        "cr": _json(report.cr),
        "f1_c": _json(report.f1_c),
        "cf1": _json(report.cf1),
        "op": _json(report.op),
        "or": _json(report.or_),
        "of1": _json(report.of1),
    }


def _json(value: float) -> float | None:
    """JSON knows no NaN."""
    return None if math.isnan(value) else value
