"""A results dictionary with numbers that are easy to check by hand."""

from collections.abc import Callable
from typing import Any

import pytest


def metrics(ap: list[float | None], f1_c: float = 0.5) -> dict[str, Any]:
    known = [value for value in ap if value is not None]
    mean = sum(known) / len(known)
    f1 = {"cp": 0.6, "cr": 0.4, "f1_c": f1_c, "cf1": 0.48, "op": 0.7, "or": 0.5, "of1": 0.58}
    return {
        "map": mean,
        "map_non_interpolated": mean,
        "map_eleven_point": mean,
        "per_class_ap": ap,
        "excluded_classes": [k for k, value in enumerate(ap) if value is None],
        "f1": {"all": f1, "top3": f1 | {"f1_c": 0.4, "of1": 0.45}, "top3_forced": f1},
    }


def seed(number: int, ap: list[float | None]) -> dict[str, Any]:
    return {
        "seed": number,
        "metrics": metrics(ap),
        "updates": 100,
        "seconds": 90.0 + 60 * number,
        "train_map": 0.99,
        "held_out_map": None,
    }


def variant(
    method: str, label: str, seeds: list[dict[str, Any]], size: int = 128
) -> dict[str, Any]:
    return {
        "label": label,
        "method": method,
        "input_size": size,
        "parameters": 3_600_000,
        "seeds": seeds,
        "localization": None,
    }


@pytest.fixture
def make() -> Callable[..., dict[str, Any]]:
    """Build a results dictionary: `make(classes=…, seeds=…, gain=…)`."""

    def build(classes: int = 3, seeds: int = 2, *, gain: bool = True) -> dict[str, Any]:
        # Baseline mAP 0.60 (+0.02 a seed), distilled 0.65 (+0.02 a seed): a gain of 5.0 points.
        before = [seed(s, [0.60 + 0.02 * s] * classes) for s in range(seeds)]
        after = [seed(s, [0.65 + 0.02 * s] * classes) for s in range(seeds)]
        variants = {
            "teacher": variant("teacher", "Teacher", [seed(0, [0.7] * classes)], 320),
            "plain": variant("plain", "Student, plain", before),
            "regions": variant("regions", "Student, distilled", after),
        }
        variants["teacher"]["localization"] = {
            "detection_map": 0.183,
            "corloc": 0.412,
            "per_class_detection_ap": [0.183] * classes,
            "per_class_corloc": [0.412] * classes,
        }
        if not gain:
            del variants["plain"]
        interval = {"mean": 0.05, "low": 0.021, "high": 0.079, "level": 0.95}
        return {
            "schema": 3,
            "boxless": "0.1.0",
            "created": "2025-03-04T09:26:11+00:00",
            "recipe": {"name": "demo", "student": {"input": 128, "levels": [8, 16]}, "seed": None},
            "data": {
                "spec": "scenes:",
                "name": "scenes",
                "fingerprint": "3f2a91",
                "classes": [f"class {k}" for k in range(classes)],
                "images": {"train": 90, "held_out": 10, "test": 1749},
                "train_positives": [10 * (k + 1) for k in range(classes)],
            },
            "method": "regions",
            "variants": variants,
            "gain": {
                "map": interval | {"draws": 1000, "probability_positive": 0.998},
                "per_seed": [0.05] * seeds,
                "per_class": [0.05] * classes,
            }
            if gain
            else None,
            "steps": [
                {"name": "teacher", "seconds": 61.0, "status": "done"},
                {"name": "plain", "seconds": 0.0, "status": "skipped"},
            ],
            "environment": {"python": "3.11", "threads": 2},
            "recall": {
                "images": 60,
                "objects": 174,
                "counts": [100, 1000],
                "rows": [{"name": "edge boxes", "iou": 0.5, "recalls": [0.573, 0.871]}],
            },
        }

    return build
