"""Training in two processes of one thread beside one process of one and of two threads.

The plain student of recipe voc-lite0 on real photographs where they are at hand, else on painted
scenes, started as a user starts it (torchrun for two processes). Images a second are those of the
training loop: without start-up, with decoding in the first pass.

    python benchmarks/bench_processes.py [--quick] [--out bench_processes.json]
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from measure import Figure, parser, publish, ratio, some_images, voc_mini

from boxless.files.launched import quiet_unless_first
from boxless.recipe.recipe_files import load_recipe
from boxless.runs.context import Run
from boxless.runs.execute import execute_together
from boxless.runs.record import read_record
from boxless.training.processes import joined

KINDS = {"1 x 1": (1, 1), "1 x 2": (1, 2), "2 x 1": (2, 1)}
"""Processes and threads of each."""

STEP = "students/plain/128px/seed-0"


def work(folder: Path, spec: str, images: int, threads: int) -> None:
    """What each process does: train the plain student."""
    recipe = load_recipe("voc-lite0", {"run.threads": str(threads)})
    with quiet_unless_first(), joined() as processes:

        def load() -> Run:
            part = some_images(spec, images)
            return Run(folder, spec, recipe, part, profile=True, processes=processes)

        execute_together(processes, load, until="plain", force=(), only=True)


def measure(kind: str, spec: str, images: int) -> dict[str, Any]:
    """Images a second of one run, and where its time went."""
    count, threads = KINDS[kind]
    with tempfile.TemporaryDirectory() as name:
        words = [__file__, "--worker", name, spec, str(images), str(threads)]
        if count > 1:
            launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
            words = ["-m", *launcher, *words]
        own = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        subprocess.run([sys.executable, *words], check=True, env=own)
        record = read_record(Path(name) / STEP)
    if record is None or record.status != "done":
        raise RuntimeError(f"{kind}: {STEP} is not done")
    batch = load_recipe("voc-lite0", {}).stage2.optim.batch_size
    rate = record.facts["updates"] * batch / record.seconds
    return {"images a second": rate, "milliseconds": record.facts["profile"]["milliseconds"]}


def figures(found: dict[str, list[dict[str, Any]]], facts: dict[str, Any]) -> list[Figure]:
    """Rates, and ratios round by round."""
    rates = {kind: [run["images a second"] for run in runs] for kind, runs in found.items()}
    exchange = [run["milliseconds"]["exchange"] for run in found["2 x 1"]]
    names = {
        "1 x 1": "1 process, 1 thread",
        "1 x 2": "1 process, 2 threads",
        "2 x 1": "2 processes, 1 thread each",
    }
    return [
        *(Figure(f"{names[kind]}: images/s", values) for kind, values in rates.items()),
        Figure("2 processes / 1 process, 1 thread each", ratio(rates["2 x 1"], rates["1 x 1"])),
        Figure("2 threads / 1 thread, 1 process", ratio(rates["1 x 2"], rates["1 x 1"])),
        Figure("adding up gradients, ms an update (waiting for the other too)", exchange),
        Figure(
            "2 processes of 1 thread / 1 process of 2 threads",
            ratio(rates["2 x 1"], rates["1 x 2"]),
            facts=facts,
        ),
    ]


def worker(words: list[str]) -> None:
    """Command line of a process that trains."""
    given = argparse.ArgumentParser()
    for name, kind in (("folder", Path), ("spec", str), ("images", int), ("threads", int)):
        given.add_argument(name, type=kind)
    work(**vars(given.parse_args(words)))


def main() -> None:
    """Run each kind in turn and publish."""
    if sys.argv[1:2] == ["--worker"]:
        worker(sys.argv[2:])
        return
    options = parser(__doc__, "processes").parse_args()
    photos = voc_mini()
    spec = f"voc:{photos}" if photos and not options.quick else "scenes:train=40,test=8"
    images = 40 if options.quick else 72
    rounds = options.rounds or (1 if options.quick else 3)
    found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
    for _ in range(rounds):
        for kind, runs in found.items():
            runs.append(measure(kind, spec, images))
    facts = {"images": images, "data": spec.partition(":")[0], "runs": found}
    publish(
        "training in several processes, plain student of voc-lite0", figures(found, facts), options
    )


if __name__ == "__main__":
    main()
