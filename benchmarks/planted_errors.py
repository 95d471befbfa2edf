"""How many planted wrong tags stand at the head of the list of suspicious ones, beside cleanlab's.

Noise is class-conditional, as in Thyagarajan et al., arXiv 2211.13895, with the same share of
every class and at most three errors per image. `balanced`: that share of a class's tags is
removed, and as many images that lack the class get it, so that its frequency stays; `missing`
removes alone, `wrong` adds alone. The teacher is that of the recipe photos-cpu, cross-fitted on
the wrong tags; its maps are computed once.
"""

import json
import shlex
import statistics
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cleanlab.multilabel_classification.filter import find_multilabel_issues_per_class
from cleanlab.multilabel_classification.rank import get_label_quality_scores_per_class
from measure import machine, parser, voc_mini
from rich.console import Console
from rich.table import Table
from sklearn.metrics import average_precision_score
from torch import Tensor

from boxless.data.sources import load_manifest
from boxless.metrics.suspicion import tag_suspicion
from boxless.recipe.recipe_files import load_recipe
from boxless.runs import build
from boxless.runs.context import Run
from boxless.runs.execute import execute
from boxless.runs.teacher_steps import image_vectors
from boxless.training.class_map_fit import fit_class_maps
from boxless.types import ABSENT, PRESENT, UNKNOWN

SETTINGS = {
    "proposals.method": "grid",  # regions say nothing of whole images
    "proposals.max_boxes": "1",
    "teacher.regions": "1",
    "stage1.regions": "1",
    "teacher.parts": '["peaks", "concepts"]',  # what cross-validation chooses here, without cells
}
MOST_PER_IMAGE = 3
OURS, CLEANLAB, ADJUSTED = "boxless", "cleanlab", "cleanlab, adjusted"


def prepared(folder: Path, spec: str) -> Run:
    """A run with its maps; the held-out part is fixed, so that it does not depend on tags."""
    recipe = load_recipe("photos-cpu", SETTINGS)
    whole = load_manifest(spec)
    apart = Run(folder, spec, recipe, whole).held_out
    held_out = set(apart.image_ids if apart else ())
    records = tuple(replace(r, split="val") if r.image_id in held_out else r for r in whole.records)
    run = Run(folder, spec, recipe, replace(whole, records=records))
    execute(run, until="maps")
    return run


def plant(labels: np.ndarray, kind: str, share: float, seed: int) -> np.ndarray:
    """Labels (M, K) with errors in them."""
    rng, noisy = np.random.default_rng(seed), labels.copy()
    errors = np.zeros(len(labels), int)
    for k in range(labels.shape[1]):
        count = round(share * int((labels[:, k] == PRESENT).sum()))
        for kind_of_tag, skipped in ((PRESENT, "wrong"), (ABSENT, "missing")):
            free = np.flatnonzero((labels[:, k] == kind_of_tag) & (errors < MOST_PER_IMAGE))
            chosen = rng.choice(free, 0 if kind == skipped else count, replace=False)
            noisy[chosen, k] = 1 - kind_of_tag
            errors[chosen] += 1
    return noisy


def judged(run: Run, vectors: Tensor, noisy: np.ndarray) -> np.ndarray:
    """Probabilities (M, K), each image's by class maps fitted to such tags without its fold."""
    records = (
        replace(record, labels=tuple(tags))
        for record, tags in zip(run.train.records, noisy.tolist(), strict=True)
    )
    config = run.recipe.teacher
    taught = replace(run.train, records=tuple(records))
    folds = torch.from_numpy(taught.folds(config.folds, seed=run.recipe.data.seed))
    model = build.class_maps(config, len(run.classes))
    found = fit_class_maps(model, vectors, torch.from_numpy(noisy), folds, config.ridges)
    return np.asarray(found.logits.sigmoid())


def scores_of(probabilities: np.ndarray, noisy: np.ndarray) -> dict[str, np.ndarray]:
    """How suspicious each tag is, (M, K), by method."""
    lists = [np.flatnonzero(row == PRESENT).tolist() for row in noisy]

    def quality(*, adjusted: bool) -> np.ndarray:
        found = get_label_quality_scores_per_class(
            lists, probabilities, method="self_confidence", adjust_pred_probs=adjusted
        )
        return np.asarray(found)

    return {
        OURS: tag_suspicion(probabilities, noisy),
        CLEANLAB: 1 - quality(adjusted=False),
        ADJUSTED: 1 - quality(adjusted=True),
    }


def figures(run: Run, vectors: Tensor, kind: str, seed: int, share: float) -> dict[str, Any]:
    """Average precision and hits of each method, for one draw of errors."""
    noisy = plant(run.train.labels, kind, share, seed)
    known = noisy != UNKNOWN
    planted = (noisy != run.train.labels)[known]
    probabilities = judged(run, vectors, noisy)
    found: dict[str, Any] = {"kind": kind, "seed": seed, "planted": int(planted.sum())}
    scores = scores_of(probabilities, noisy)
    # A table is read kind by kind where errors of one kind alone are expected.
    kinds = {"missing": (ABSENT,), "wrong": (PRESENT,)}.get(kind, (PRESENT, ABSENT))
    own = np.isin(noisy[known], kinds)
    lists = [np.flatnonzero(row == PRESENT).tolist() for row in noisy]
    issues = np.asarray(find_multilabel_issues_per_class(lists, probabilities, n_jobs=1))[known]
    found["filter"] = {"listed": int(issues.sum()), "found": int(planted[issues].sum())}
    for method, score in scores.items():
        order = np.argsort(-score[known], kind="stable")
        found[method] = {
            "average_precision": float(average_precision_score(planted, score[known])),
            "of_the_kind": float(average_precision_score(planted[own], score[known][own])),
            "first_n": float(planted[order[: planted.sum()]].mean()),
            "as_many_as_filter": int(planted[order[: issues.sum()]].sum()),
        }
    return found


def show(results: list[dict[str, Any]]) -> None:
    """Means and ranges over seeds."""
    table = Table(title="planted errors among the first N tags (N = planted), and AP of the list")
    for column in ("errors", "planted", "list", "first N", "AP", "of the kind", "AP by seed"):
        table.add_column(column)
    for kind in dict.fromkeys(one["kind"] for one in results):
        own = [one for one in results if one["kind"] == kind]
        for method in (OURS, CLEANLAB, ADJUSTED):
            names = ("first_n", "average_precision", "of_the_kind")
            means = [statistics.mean(one[method][name] for one in own) for name in names]
            cells = [f"{100 * value:.1f} %" for value in means]
            seeds = " ".join(f"{100 * one[method]['average_precision']:.1f}" for one in own)
            table.add_row(kind, str(own[0]["planted"]), method, *cells, seeds)
    Console(width=110).print(table)


def main() -> None:
    """Plant errors, find them, publish."""
    options = parser(__doc__, "planted_errors")
    options.add_argument("--share", type=float, default=0.05, help="of every class's tags")
    options.add_argument("--kinds", default="balanced,missing,wrong", help="of errors")
    options.add_argument("--work", type=Path, help="folder for the maps, kept for another time")
    asked = options.parse_args()
    photos = voc_mini()
    spec = "scenes:train=200,test=8" if photos is None or asked.quick else f"voc:{photos}"
    seeds = asked.rounds or (1 if asked.quick else 3)
    with tempfile.TemporaryDirectory() as name:
        run = prepared((asked.work or Path(name)).absolute(), spec)
        vectors = image_vectors(run, build.class_maps(run.recipe.teacher, len(run.classes)))
        counts = {"balanced": seeds, "missing": 1, "wrong": 1}
        draws = [(kind, seed) for kind in asked.kinds.split(",") for seed in range(counts[kind])]
        results = [figures(run, vectors, kind, seed, asked.share) for kind, seed in draws]
    show(results)
    report = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join([Path(sys.executable).name, *sys.argv]),
        "machine": machine(),
        "images": len(run.train),
        "share": asked.share,
        "results": results,
    }
    asked.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
