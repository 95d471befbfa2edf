"""Images a second from the loader, against the decode bound: one core's JPEG decoding x cores.

Real photographs where they are at hand, else painted scenes written as JPEGs. The bound is Pillow
decoding the same files to RGB in one process, times the cores: nothing cropped, resized or batched.
Where other work fills the cores, processes that decode at once each take longer than one alone, so
that bound is shown too. The loader is what training uses: crops, mirrors, resizing to 224, batches
of 32, one process a core; once with nothing kept, then in a second pass over images that are kept.

    python benchmarks/bench_loader.py [--quick] [--out bench_loader.json]
"""

import os
import tempfile
import time
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from measure import Clock, Figure, cpu_time, parser, publish, ratio, seconds, voc_mini
from PIL import Image

from boxless.data.images import load_image
from boxless.data.kept_images import ImageCache, KeptImages
from boxless.training.batches import Batch, BatchStream, ViewDataset
from boxless.training.views import crop_side
from boxless.types import ImageRecord

if TYPE_CHECKING:
    from collections.abc import Iterator

SIDE, BATCH, CROP = 224, 32, 0.4
SMALL = 128
"""Side at which the difference of images kept small is measured: voc-lite0's."""


def photographs(folder: Path, limit: int) -> list[str]:
    """JPEG files."""
    root = voc_mini()
    if root is not None:
        return [str(path) for path in sorted((root / "JPEGImages").glob("*.jpg"))[:limit]]
    paths = []
    for n in range(limit):
        path = folder / f"{n}.jpg"
        scene = load_image(f"scenes:v2,seed=0,size=160,split=train,index={n}")
        Image.fromarray(scene).resize((341, 256)).save(path, quality=92)
        paths.append(str(path))
    return paths


def decode_all(paths: list[str]) -> None:
    """The bound: to RGB, nothing else."""
    for path in paths:
        with Image.open(path) as image:
            image.convert("RGB")


def decode_together(paths: list[str], processes: int) -> None:
    """All of them in each of several processes at once."""
    decoders = [
        get_context("fork").Process(target=decode_all, args=(paths,)) for _ in range(processes)
    ]
    for decoder in decoders:
        decoder.start()
    for decoder in decoders:
        decoder.join()


class Loader:
    """An endless stream of training batches."""

    def __init__(self, paths: list[str], mode: ImageCache, workers: int) -> None:
        records = [ImageRecord(str(n), path, "train", (1,)) for n, path in enumerate(paths)]
        kept = KeptImages(load_image, paths, mode=mode, limit_bytes=4 << 30)
        dataset = ViewDataset(records, kept)
        self._ready = 2 * workers  # what a DataLoader makes ahead
        self._batches: Iterator[Batch] = BatchStream(
            dataset, BATCH, seed=0, sizes=(SIDE,), crop=CROP, workers=workers
        ).batches(0, 10**6)
        next(self._batches)

    def run(self, batches: int) -> float:
        """Images a second of the next batches.

        Those that lie ready are left out, and as many more: as much is half made at the start as
        there is at the end.
        """
        for _ in islice(self._batches, 2 * self._ready):
            pass
        start = Clock.now()
        for _ in islice(self._batches, batches):
            pass
        spent = Clock.now() - start
        _settle()
        return batches * BATCH / spent


def _settle() -> None:
    """Wait until no loading process works: what it makes ahead belongs to no other figure."""
    before = 0.0
    while cpu_time() - before > 0.02:
        before = cpu_time()
        time.sleep(0.3)


def difference(paths: list[str]) -> dict[str, float]:
    """How far views from images kept small are from exact ones, in grey levels of 255."""
    records = [ImageRecord(str(n), path, "train", (1,)) for n, path in enumerate(paths)]
    streams = []
    for mode in ("off", "sized"):
        kept = KeptImages(load_image, paths, mode=mode, limit_bytes=4 << 30)
        dataset = ViewDataset(records, kept)
        streams.append(BatchStream(dataset, BATCH, seed=0, sizes=(SMALL,), crop=CROP).batches(0, 8))
    gaps = [(a.pixels.float() - b.pixels.float()).abs() for a, b in zip(*streams, strict=True)]
    every = torch.cat([gap.flatten() for gap in gaps])
    return {
        "side": SMALL,
        "kept_side": crop_side(SMALL, CROP),
        "mean": float(every.mean()),
        "above_8": float((every > 8).float().mean()),
    }


KINDS: tuple[tuple[str, ImageCache], ...] = (
    ("nothing kept", "off"),
    ("images kept as they are", "auto"),
    ("images kept small", "sized"),
)


def main() -> None:
    """Time and publish."""
    options = parser(__doc__, "loader").parse_args()
    torch.set_num_threads(1)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    workers = cores or 1
    # CPU time is that of all processes: against what decoding takes, wherever it is done.
    share = 1 if Clock.name() == "CPU time" else workers
    limit, batches = (64, 2) if options.quick else (800, 25)
    rounds = options.rounds or (1 if options.quick else 5)
    with tempfile.TemporaryDirectory() as name:
        paths = photographs(Path(name), limit)
        loaders = {kind: Loader(paths, mode, workers) for kind, mode in KINDS}
        for loader in loaders.values():
            loader.run(len(paths) // BATCH + 2 * workers)  # a pass, so that images are kept
        decode_all(paths[:50])
        bound: list[float] = []
        together: list[float] = []
        found: dict[str, list[float]] = {kind: [] for kind in loaders}
        for _ in range(rounds):
            bound.append(share * len(paths) / seconds(lambda: decode_all(paths)))
            spent = seconds(lambda: decode_together(paths, workers))
            together.append(workers * len(paths) / spent)
            for kind, loader in loaders.items():
                found[kind].append(loader.run(batches))
        facts = {
            "images_per_second": {"bound": bound, "together": together, **found},
            "loading_processes": workers,
            "files": len(paths),
            "kept_small_differs_by": difference(paths),
        }
    figures = [
        Figure(
            f"loader / (one core's JPEG decoding x {workers}), {kind}",
            ratio(rates, bound),
            "higher",
            0.8,
            0.95,
            facts if kind == KINDS[0][0] else {},
        )
        for kind, rates in found.items()
    ]
    figures.append(
        Figure(
            f"loader / {workers} processes that decode at once, {KINDS[0][0]}",
            ratio(found[KINDS[0][0]], together),
        )
    )
    publish(
        f"loader, {len(paths)} JPEGs to {SIDE} px, {workers} processes, {Clock.name()}",
        figures,
        options,
    )


if __name__ == "__main__":
    main()
