"""Parallel efficiency of proposing boxes: images a second of all cores / (of one core x cores).

Real photographs where they are at hand, else embedded scenes; edge boxes at their defaults, written
into a store, decoding included. Each round proposes with one process and with one a core, in turn.
Processes are started anew in every round; what starting them costs is shown apart, as it does not
grow with the images.

    python benchmarks/bench_extraction.py [--quick] [--out bench_extraction.json]
"""

import os
import tempfile
import time
from pathlib import Path

from measure import Figure, parser, publish, ratio, voc_mini

from boxless.data.images import load_image
from boxless.data.sources import load_manifest
from boxless.files.launched import available_cores
from boxless.proposals.extract import extract
from boxless.proposals.proposer import make_proposer
from boxless.types import ImageRecord


def records(count: int) -> list[ImageRecord]:
    """Training images."""
    root = voc_mini()
    spec = f"voc:{root}" if root is not None else f"scenes:train={count},test=10"
    return list(load_manifest(spec).split("train").records[:count])


def propose(images: list[ImageRecord], workers: int) -> tuple[float, float]:
    """Images a second from the first finished image on, and seconds until then."""
    times: list[float] = []
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        extract(
            images,
            make_proposer("edge_boxes"),
            Path(folder) / "store",
            manifest_fingerprint="benchmark",
            load_image=load_image,
            workers=workers,
            progress=lambda *_: times.append(time.perf_counter()),
        )
    first = times[1]  # the call before it tells what was done earlier
    return (len(images) - 1) / (time.perf_counter() - first), first - began


def main() -> None:
    """Time and publish."""
    options = parser(__doc__, "extraction").parse_args()
    cores = available_cores()
    images = records(16 if options.quick else 400)
    rates: dict[int, list[float]] = {1: [], cores: []}
    waits: list[float] = []
    for _ in range(options.rounds or (1 if options.quick else 5)):
        for workers, found in rates.items():
            rate, wait = propose(images, workers)
            found.append(rate)
            if workers == cores:
                waits.append(wait)
    efficiency = [value / cores for value in ratio(rates[cores], rates[1])]
    facts = {
        "images": len(images),
        "images_per_second": {f"{workers} processes": found for workers, found in rates.items()},
        "seconds_to_the_first_image": waits,
        "load": os.getloadavg(),
    }
    publish(
        f"edge boxes on {len(images)} images, {cores} cores",
        [
            Figure(
                f"images/s of {cores} processes / (of one x {cores})",
                efficiency,
                "higher",
                0.9,
                None,
                facts,
            ),
            Figure(f"images/s of {cores} processes", rates[cores]),
            Figure("seconds until they have their first image", waits),
        ],
        options,
    )


if __name__ == "__main__":
    main()
