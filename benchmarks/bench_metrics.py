"""mAP of 40,137 x 80 scores (the shape of COCO val) by four implementations; all metrics of VOC.

Scores are synthetic, class frequencies like COCO's. Every implementation gets the same arrays; ours
takes a thread per core, the others know one. Half-precision scores show what ties do to the value.

    python benchmarks/bench_metrics.py [--cpu] [--quick] [--out bench_metrics.json]
"""

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from measure import Figure, interleaved, parser, publish, ratio, seconds

from boxless.metrics.average_precision import Method, average_precision
from boxless.metrics.bootstrap import paired_bootstrap
from boxless.metrics.summary import multi_label_report

if TYPE_CHECKING:
    from collections.abc import Callable

Arrays = tuple[np.ndarray, np.ndarray]


def synthetic(images: int, classes: int, seed: int = 0) -> Arrays:
    """Scores of a middling model and labels with a long tail, about 2.9 a COCO image."""
    rng = np.random.default_rng(seed)
    frequency = 0.35 * np.exp(-np.linspace(0.6, 6.0, classes))
    frequency[0] = 0.54
    labels = (rng.random((images, classes)) < frequency).astype(np.int8)
    logits = rng.normal(size=labels.shape) + 2.0 * labels - 2.0
    return (1 / (1 + np.exp(-logits))).astype(np.float32), labels


def asl_style(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Argsort reversed and a cumulative sum a class, as in the helper functions of ASL."""
    result = np.zeros(scores.shape[1])
    ranks = np.arange(1, len(scores) + 1)
    for k in range(scores.shape[1]):
        hit = labels[scores[:, k].argsort()[::-1], k] == 1
        found = np.cumsum(hit).astype(float)
        total = found[-1]
        found[~hit] = 0
        result[k] = (found / ranks).sum() / (total + 1e-8)
    return result


def sklearn_style(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """scikit-learn, class by class."""
    from sklearn.metrics import average_precision_score  # noqa: PLC0415

    columns = range(scores.shape[1])
    return np.array([average_precision_score(labels[:, k], scores[:, k]) for k in columns])


def torchmetrics_style(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The exact (unbinned) torchmetrics function."""
    import torch  # noqa: PLC0415
    from torchmetrics.functional.classification import (  # noqa: PLC0415
        multilabel_average_precision,
    )

    torch.set_num_threads(1)
    value = multilabel_average_precision(
        torch.from_numpy(scores.astype(np.float32)),
        torch.from_numpy(labels.astype(np.int64)),
        num_labels=scores.shape[1],
        average="none",
    )
    return value.numpy()


def compare(images: int, classes: int) -> list[dict[str, Any]]:
    """Time all implementations on the same scores."""
    scores, labels = synthetic(images, classes)
    tied = scores.astype(np.float16)
    rivals: dict[str, tuple[Callable[..., np.ndarray], int]] = {
        "boxless non_interpolated": (
            lambda s, y: average_precision(s, y, method="non_interpolated"),
            7,
        ),
        "boxless envelope": (average_precision, 7),
        "NumPy, ASL style": (asl_style, 5),
        "scikit-learn": (sklearn_style, 2),
        "torchmetrics, exact": (torchmetrics_style, 1),
    }
    rows: list[dict[str, Any]] = []
    for name, (call, repeats) in rivals.items():
        rows.append(
            {
                "implementation": name,
                "seconds": min(
                    seconds(lambda call=call: call(scores, labels)) for _ in range(repeats)
                ),
                "map": 100 * float(np.mean(call(scores, labels))),
                "map_half_precision": 100 * float(np.mean(call(tied, labels))),
            }
        )
    for row in rows:
        row["times_ours"] = row["seconds"] / rows[0]["seconds"]
    return rows


def against_sklearn(images: int, classes: int, rounds: int) -> Figure:
    """How many times faster than scikit-learn, round by round; values equal to rounding."""
    scores, labels = synthetic(images, classes)
    spent = interleaved(
        {
            "scikit-learn": lambda: sklearn_style(scores, labels),
            "ours": lambda: average_precision(scores, labels, method="non_interpolated"),
        },
        rounds,
        repeats={"ours": 3},
    )
    ours = average_precision(scores, labels, method="non_interpolated")
    difference = float(np.abs(ours - sklearn_style(scores, labels)).max())
    facts = {"seconds": spent, "largest_difference": difference}
    name = f"mAP of {images:,} x {classes}: scikit-learn / ours"
    return Figure(name, ratio(spent["scikit-learn"], spent["ours"]), "higher", 20, 40, facts)


def all_with_intervals(rounds: int) -> Figure:
    """Every metric of two models, and how far apart they are by each definition of mAP."""
    _, labels = synthetic(749, 20)
    noise = np.random.default_rng(1).normal(size=(2, *labels.shape))
    plain, distilled = 1 / (1 + np.exp(2 - 2 * labels - noise))
    names = [str(k) for k in range(labels.shape[1])]

    def everything() -> None:
        for model in (plain, distilled):
            multi_label_report(model, labels, names)
        for method in get_args(Method):
            paired_bootstrap(distilled, plain, labels, draws=2000, method=method)

    spent = interleaved({"all": everything}, rounds)["all"]
    name = "all metrics of two models, 749 x 20, 3 intervals of 2,000 draws: seconds"
    return Figure(name, spent, "lower", 2, 0.5)


def bootstrap_times() -> list[dict[str, Any]]:
    """Time the paired bootstrap at two sizes."""
    rows = []
    for images, classes, seeds, draws in ((749, 20, 3, 2000), (40137, 80, 1, 100)):
        scores, labels = synthetic(images, classes)
        noise = np.random.default_rng(1).normal(size=(2, seeds, *scores.shape))
        first, second = scores + 0.05 * noise
        spent = seconds(
            lambda first=first, second=second, labels=labels, draws=draws: paired_bootstrap(
                first, second, labels, draws=draws
            ),
            1,
        )
        shape = {"images": images, "classes": classes, "seeds": seeds, "draws": draws}
        rows.append({**shape, "seconds": spent})
    return rows


def main() -> None:
    """Time and publish."""
    options = parser(__doc__, "metrics").parse_args()
    images, classes = (4000, 80) if options.quick else (40137, 80)
    rounds = options.rounds or (2 if options.quick else 7)
    figure = against_sklearn(images, classes, rounds)
    facts = {**figure.facts, "implementations": compare(images, classes)}
    if not options.quick:
        facts["paired_bootstrap"] = bootstrap_times()
    publish(
        f"metrics of {images:,} images",
        [replace(figure, facts=facts), all_with_intervals(rounds)],
        options,
    )


if __name__ == "__main__":
    main()
