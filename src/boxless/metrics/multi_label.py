"""Metrics gathered batch by batch, for evaluation in somebody's own loop."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from boxless.errors import DataError
from boxless.metrics.f1 import check_probabilities
from boxless.metrics.inputs import as_array, check_classes, check_pair
from boxless.metrics.summary import MultiLabelReport, multi_label_report
from boxless.types import ABSENT, PRESENT, UNKNOWN, Int8Array


class MultiLabelMetrics:
    """Every multi-label metric, from batches of NumPy arrays or torch tensors; needs no torch.

    The values are those of the functions in this package on all images at once: rankings cannot be
    averaged over batches, so what was seen is kept (5 bytes per image and class).

    Args:
        classes: K names.
        threshold: A label is predicted above it: one number, or (K,) one per class.

    Example:
        >>> from boxless.metrics import MultiLabelMetrics
        >>> metrics = MultiLabelMetrics(["cat", "dog"])
        >>> metrics.update([[0.9, 0.2], [0.4, 0.8]], [[1, 0], [0, 1]])
        >>> metrics.update([[0.6, 0.1]], [[0, -1]])  # nobody knows whether there is a dog
        >>> report = metrics.compute()
        >>> report.images, report.map, report.f1.of1
        (3, 1.0, 0.8)
    """

    def __init__(self, classes: Sequence[str], *, threshold: float | ArrayLike = 0.5) -> None:
        self.classes, self.threshold = tuple(classes), threshold
        self.reset()

    def reset(self) -> None:
        """Forget all batches."""
        self._seen: list[tuple[NDArray[np.floating[Any]], Int8Array]] = []

    def update(self, probabilities: ArrayLike, labels: ArrayLike) -> None:
        """Take in a batch.

        Args:
            probabilities: (N, K) values in [0, 1]; copied.
            labels: (N, K) values of {1, 0, -1}, of any type; copied.

        Raises:
            ShapeError: If shapes do not fit, or K is not the number of classes.
            NumericsError: If a probability is not in [0, 1].
            DataError: If a label is not 1, 0 or -1.
        """
        tags = as_array(labels)
        if tags.dtype.kind == "f" and np.isin(tags, (PRESENT, ABSENT, UNKNOWN)).all():
            tags = tags.astype(np.int8)  # tags of a PyTorch loop are floats as a rule
        scores, known = check_pair(probabilities, tags)
        check_classes(self.classes, scores.shape[1])
        check_probabilities(scores)
        self._seen.append((scores.copy(), known.copy()))

    def compute(self) -> MultiLabelReport:
        """All metrics of the batches since the last `reset`.

        Raises:
            DataError: If there was none.
        """
        if not any(len(scores) for scores, _ in self._seen):
            raise DataError("there are no metrics of no image", hint="call update(...) first")
        scores, labels = (np.concatenate(parts) for parts in zip(*self._seen, strict=True))
        return multi_label_report(scores, labels, self.classes, threshold=self.threshold)
