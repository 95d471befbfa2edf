"""All classification metrics of one model: as a report that prints, and as plain JSON values."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

from numpy.typing import ArrayLike

from boxless.metrics.average_precision import Method, mean_average_precision
from boxless.metrics.calibration_error import expected_calibration_error
from boxless.metrics.f1 import F1Report, f1_report
from boxless.metrics.inputs import check_classes, check_pair, known
from boxless.types import PRESENT, Float64Array

_COLUMNS = ("images", "AP", "precision", "recall", "F1")


@dataclass(frozen=True, slots=True)
class MultiLabelReport:
    """Every classification metric of one model; fractions in [0, 1], NaN where there is none.

    ``print(report)`` shows an aligned table.

    Attributes:
        classes: K names.
        images: M, number of images.
        positives: K, number of images that a class is present in.
        map: Mean average precision, area under the envelope.
        map_non_interpolated: The same as scikit-learn defines the area.
        map_eleven_point: The same as VOC 2007 defines it.
        ap: (K,) average precision (envelope); NaN for a class without a positive image.
        f1: Labels above the threshold.
        top3: Those of them that are among the three most probable of their image.
        top3_forced: The three most probable labels of each image.
        calibration_error: Expected calibration error, 15 bins of equal width.
    """

    classes: tuple[str, ...]
    images: int
    positives: tuple[int, ...]
    map: float
    map_non_interpolated: float
    map_eleven_point: float
    ap: Float64Array
    f1: F1Report
    top3: F1Report
    top3_forced: F1Report
    calibration_error: float

    def __str__(self) -> str:
        of_classes = zip(
            self.classes, self.positives, self.ap, self.f1.precision, self.f1.recall, self.f1.f1,
            strict=True,
        )  # fmt: skip
        rows = [_row(name, str(count), *values) for name, count, *values in of_classes]
        rows.append(_row("mean", str(self.images), self.map, self.f1.cp, self.f1.cr, self.f1.f1_c))
        for name, report in (("all labels", self.f1), ("top 3", self.top3)):
            rows.append(_row(name, "", math.nan, report.op, report.or_, report.of1))
        rows.insert(0, ("class", *_COLUMNS))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(
                [row[0].ljust(widths[0])]
                + [c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)]
            )
            for row in rows
        )


def multi_label_report(
    probabilities: ArrayLike,
    labels: ArrayLike,
    classes: Sequence[str],
    *,
    threshold: float | ArrayLike = 0.5,
) -> MultiLabelReport:
    """Compute every classification metric.

    Args:
        probabilities: (M, K) values in [0, 1]; arrays or tensors.
        labels: (M, K) values of {1, 0, -1}; unknown entries (-1) are left out.
        classes: K names.
        threshold: One number, or (K,) one per class.

    Returns:
        The report.

    Raises:
        ShapeError: If shapes do not fit.
        NumericsError: If a probability is not in [0, 1].
        DataError: If a label is not 1, 0 or -1.

    Example:
        >>> from boxless.metrics import multi_label_report
        >>> probabilities = [[0.9, 0.2], [0.4, 0.8], [0.6, 0.1]]
        >>> print(multi_label_report(probabilities, [[1, 0], [0, 1], [0, 0]], ["cat", "dog"]))
        class       images     AP  precision  recall     F1
        cat              1  1.000      0.500   1.000  0.667
        dog              1  1.000      1.000   1.000  1.000
        mean             3  1.000      0.750   1.000  0.833
        all labels                     0.667   1.000  0.800
        top 3                          0.667   1.000  0.800
    """
    values, tags = check_pair(probabilities, labels)
    names = check_classes(classes, values.shape[1])
    envelope, raw, eleven = (
        mean_average_precision(values, tags, classes=names, method=method)
        for method in get_args(Method)
    )
    return MultiLabelReport(
        classes=names,
        images=len(tags),
        positives=tuple(int(count) for count in (tags == PRESENT).sum(0)),
        map=envelope.value,
        map_non_interpolated=raw.value,
        map_eleven_point=eleven.value,
        ap=envelope.per_class,
        f1=f1_report(values, tags, threshold=threshold),
        top3=f1_report(values, tags, threshold=threshold, top_k=3),
        top3_forced=f1_report(values, tags, top_k=3, forced=True),
        calibration_error=expected_calibration_error(values, tags),
    )


def classification_summary(
    probabilities: ArrayLike,
    labels: ArrayLike,
    classes: Sequence[str],
    *,
    threshold: float | ArrayLike = 0.5,
) -> dict[str, Any]:
    """What the result tables print of `multi_label_report`, which see, as plain JSON values.

    Returns:
        ``map`` (envelope), ``map_non_interpolated``, ``map_eleven_point``, ``per_class_ap``
        (envelope; None for excluded classes), ``excluded_classes`` (names), and ``f1`` with
        ``all``, ``top3`` and ``top3_forced``, each ``{cp, cr, f1_c, cf1, op, or, of1}``. Fractions
        in [0, 1]; None where nothing can be computed.
    """
    report = multi_label_report(probabilities, labels, classes, threshold=threshold)
    absent = [
        name for name, count in zip(report.classes, report.positives, strict=True) if not count
    ]
    parts = {"all": report.f1, "top3": report.top3, "top3_forced": report.top3_forced}
    return {
        "map": known(report.map),
        "map_non_interpolated": known(report.map_non_interpolated),
        "map_eleven_point": known(report.map_eleven_point),
        "per_class_ap": [known(value) for value in report.ap],
        "excluded_classes": absent,
        "f1": {name: _f1(part) for name, part in parts.items()},
    }


def _row(name: str, count: str, *values: float) -> tuple[str, ...]:
    return name, count, *("" if math.isnan(value) else f"{value:.3f}" for value in values)


def _f1(report: F1Report) -> dict[str, float | None]:
    """The seven means of a report."""
    names = ("cp", "cr", "f1_c", "cf1", "op", "or_", "of1")
    return {name.rstrip("_"): known(getattr(report, name)) for name in names}
