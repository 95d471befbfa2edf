"""Average precision of a 40,137 x 80 score matrix (the shape of COCO val) by four implementations.

Scores are synthetic, class frequencies like COCO's. Every implementation gets the same arrays and
one thread; the best of several runs counts. Half-precision scores show what ties do to the value.

    python benchmarks/bench_metrics.py --out bench_metrics.json
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from measure import Figure, interleaved, ratio
from rich.console import Console
from rich.table import Table

from boxless.metrics.average_precision import average_precision
from boxless.metrics.bootstrap import paired_bootstrap

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


def seconds(call: Callable[[], Any], repeats: int) -> float:
    """Best wall-clock time of several runs."""
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return best


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
                "seconds": seconds(lambda call=call: call(scores, labels), repeats),
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
    return Figure(name, ratio(spent["scikit-learn"], spent["ours"]), "higher", 12, 20, facts)


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
    """Print the tables and write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=40137)
    parser.add_argument("--classes", type=int, default=80)
    parser.add_argument("--quick", action="store_true", help="the same as --images 4000")
    parser.add_argument("--out", type=Path, default=Path("bench_metrics.json"))
    chosen = parser.parse_args()
    chosen.images = 4000 if chosen.quick else chosen.images

    rows = compare(chosen.images, chosen.classes)
    table = Table(title=f"average precision, {chosen.images} x {chosen.classes}, one thread")
    for column in ("implementation", "seconds", "x ours", "mAP", "mAP, half precision"):
        table.add_column(column, justify="left" if column == "implementation" else "right")
    for row in rows:
        numbers = (row["times_ours"], row["map"], row["map_half_precision"])
        table.add_row(
            row["implementation"], f"{row['seconds']:.3f}", *(f"{n:.4f}" for n in numbers)
        )
    console = Console()
    console.print(table)
    bootstrap = [] if chosen.quick else bootstrap_times()
    for row in bootstrap:
        console.print(
            f"paired bootstrap {row['images']} x {row['classes']}, {row['seeds']} seeds, "
            f"{row['draws']} draws: {row['seconds']:.1f} s"
        )
    machine = {"machine": platform.processor() or platform.machine(), "numpy": np.__version__}
    figure = against_sklearn(chosen.images, chosen.classes, 2 if chosen.quick else 5)
    console.print(figure.as_json())
    report = {**machine, "average_precision": rows, "paired_bootstrap": bootstrap}
    report["figures"] = [figure.as_json()]
    chosen.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    console.print(f"written to {chosen.out}")


if __name__ == "__main__":
    main()
