"""What a teacher gains from tagging the images of `--to-tag`, beside as many drawn at random.

From `--start` tagged images of voc-mini (drawn anew each round) 100 more are tagged, chosen among
700 others; mAP of the teacher on the images that are left. Once with all classes, once with eight
of them, so that many images of the pool show nothing that is asked for.
"""

import json
import shlex
import statistics
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from measure import machine, parser, voc_mini
from planted_errors import prepared
from rich.console import Console
from rich.table import Table
from torch import Tensor

from boxless.metrics.average_precision import mean_average_precision
from boxless.metrics.suspicion import next_to_tag
from boxless.models.class_maps import ClassMaps
from boxless.runs import build
from boxless.runs.context import Run
from boxless.runs.teacher_steps import image_vectors
from boxless.training.class_map_fit import fit_class_maps

POOL, MORE, FEW_CLASSES, DRAWS = 700, 100, 8, 2
RIDGE = 0.1  # what cross-validation chooses with all tags


def taught(model: ClassMaps, vectors: Tensor, labels: Tensor, rows: np.ndarray) -> list[Tensor]:
    """Logits (M, K) of all images by head 0 and by each fold's, fitted to some rows."""
    place = torch.from_numpy(rows)
    folds = torch.arange(len(rows)) % (len(model.heads) - 1)
    fit_class_maps(model, vectors[place], labels[place], folds, (RIDGE,))
    with torch.no_grad():
        return [head(vectors) for head in model.heads]


def gains(run: Run, vectors: Tensor, start: int, classes: list[int], seed: int) -> dict[str, float]:
    """Points of mAP gained by each choice."""
    labels = torch.tensor(run.train.labels[:, classes])
    model = build.class_maps(run.recipe.teacher, len(classes))
    order = np.random.default_rng(seed).permutation(len(labels))
    tagged, pool, rest = order[:start], order[start : start + POOL], order[start + POOL :]
    names = [run.classes[k] for k in classes]

    def measured(logits: Tensor) -> float:
        found = mean_average_precision(logits[rest].numpy(), labels[rest].numpy(), classes=names)
        return 100 * float(found.value)

    first, *heads = taught(model, vectors, labels, tagged)
    unseen = torch.stack(heads).sigmoid().mean(0)[pool]
    before = measured(first)

    def gained(chosen: np.ndarray) -> float:
        rows = np.concatenate([tagged, pool[chosen]])
        return measured(taught(model, vectors, labels, rows)[0]) - before

    rng = np.random.default_rng(1000 + seed)
    drawn = [gained(rng.choice(POOL, MORE, replace=False)) for _ in range(DRAWS)]
    return {"random": statistics.mean(drawn), "to-tag": gained(next_to_tag(unseen, MORE))}


def main() -> None:
    """Tag more, measure, publish."""
    options = parser(__doc__, "next_tags")
    options.add_argument("--start", type=int, default=200, help="tagged images at the beginning")
    options.add_argument("--work", type=Path, help="folder of planted_errors.py with its maps")
    asked = options.parse_args()
    photos = voc_mini()
    if photos is None:
        sys.exit("this needs the photographs of voc-mini (BOXLESS_DATA)")
    rounds, results = asked.rounds or (1 if asked.quick else 8), []
    with tempfile.TemporaryDirectory() as name:
        run = prepared((asked.work or Path(name)).absolute(), f"voc:{photos}")
        reader = build.class_maps(run.recipe.teacher, len(run.classes))
        vectors = image_vectors(run, reader).float()
    for seed in range(rounds):
        few = np.random.default_rng(seed).permutation(len(run.classes))[:FEW_CLASSES]
        for kind, classes in (("all classes", range(len(run.classes))), ("eight of them", few)):
            found = gains(run, vectors, asked.start, [int(k) for k in classes], seed)
            results.append({"classes": kind, "seed": seed, **found})
    table = Table(title=f"points of mAP gained by {MORE} more tagged images after {asked.start}")
    for column in ("classes", "random", "--to-tag", "difference", "standard error"):
        table.add_column(column)
    for kind in ("all classes", "eight of them"):
        own = [one for one in results if one["classes"] == kind]
        apart = [one["to-tag"] - one["random"] for one in own]
        error = statistics.stdev(apart) / len(apart) ** 0.5 if len(apart) > 1 else float("nan")
        means = [statistics.mean(one[name] for one in own) for name in ("random", "to-tag")]
        table.add_row(
            kind, *(f"{v:+.2f}" for v in (*means, statistics.mean(apart))), f"{error:.2f}"
        )
    Console(width=110).print(table)
    report = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join([Path(sys.executable).name, *sys.argv]),
        "machine": machine(),
        "results": results,
    }
    asked.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
