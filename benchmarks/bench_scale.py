"""Seconds and peak memory of stores and batches at the size of MS-COCO and NUS-WIDE, and at 2,000.

Images are hard links to a few tiny JPEGs, boxes, maps and the teacher's output are made up; their
number an image is that of the paper's recipes (500 boxes, K classes), only maps are small. Each
measurement runs in a process of its own: "own MiB" is what the job allocated at its peak beyond
what its imports take, "peak MiB" counts imports and the mapped pages of stores too, which the
system may drop at any time. A pass of batches stops after 10,000 images; reader, stores and order
are those of all images. ``bench_readers.py`` measures the official annotation files.

    python benchmarks/bench_scale.py --out bench_scale.json [--scale 0.01]
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from itertools import cycle, islice
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

SMALL = 2_000
SETS = {"MS-COCO 2014": (82_081, 40_137, 80), "NUS-WIDE": (150_000, 59_347, 81)}
BOXES, SIDE, BATCH = 500, 32, 32
PASS = 10_000  # images of a pass of batches
MAP = (16, 4, 4)  # channels, rows, columns; the paper's conv5 map has 512 x 42 x 42
MODULES = (  # imported before the clock starts
    "boxless.data.sources", "boxless.data.images", "boxless.proposals.extract",
    "boxless.proposals.list_boxes", "boxless.training.batches", "boxless.training.teacher_cache",
)  # fmt: skip
LINKS = 50_000  # hard links that a file system allows to one file, with room to spare


@dataclass
class Case:
    """A data set of one size, in a folder of its own."""

    folder: Path
    train: int
    test: int
    classes: int
    peak: int = field(default=0)

    @property
    def images(self) -> int:
        """Of both splits."""
        return self.train + self.test

    def watch(self) -> None:
        """Look at the memory of the process itself; mapped files do not count."""
        self.peak = max(self.peak, status("RssAnon"))


def status(name: str) -> int:
    """A line of /proc/self/status in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def write_data(case: Case) -> None:
    """A table with random tags, and an image a row."""
    import numpy as np  # noqa: PLC0415 - not in the processes that are measured
    from PIL import Image  # noqa: PLC0415

    rng = np.random.default_rng(0)
    tiny = []
    for number in range(4):
        path = case.folder / f"tiny{number}.jpg"
        Image.fromarray(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(path)
        tiny.append(path.read_bytes())
    names = [f"images/{row // 1000}/{row:07}.jpg" for row in range(case.images)]
    for part in range(-(-case.images // 1000)):
        (case.folder / "images" / str(part)).mkdir(parents=True, exist_ok=True)
    first = ""
    for row, name in enumerate(names):
        path = str(case.folder / name)
        if row % LINKS:
            os.link(first, path)
        else:
            Path(path).write_bytes(tiny[row // LINKS % len(tiny)])
            first = path
    with (case.folder / "table.csv").open("w") as file:
        file.write("path,split," + ",".join(f"class {k}" for k in range(case.classes)) + "\n")
        for row, name in enumerate(names):
            tags = (rng.random(case.classes) < 0.036).astype(int)
            split = "train" if row < case.train else "test"
            file.write(f"{name},{split},{','.join(map(str, tags))}\n")


def write_knowledge(case: Case) -> None:
    """The teacher's cache and maps, as a run writes them."""
    import torch  # noqa: PLC0415 - imported when measured
    from safetensors.torch import save  # noqa: PLC0415

    from boxless.files.seals import write_sealed  # noqa: PLC0415
    from boxless.training import map_store, teacher_cache  # noqa: PLC0415

    for name in ("cache", "maps"):
        (case.folder / name).mkdir()
    wide = {"targets": case.classes, "probabilities": case.classes, "seen": case.classes}
    for number, first in enumerate(range(0, case.train, map_store.SHARD)):
        rows = min(map_store.SHARD, case.train - first)
        kept = {k: torch.rand(rows, v) for k, v in {**wide, "objectness": BOXES}.items()}
        write_sealed(teacher_cache.shard_path(case.folder / "cache", number), save(kept))
        maps = {"final": torch.rand(rows, *MAP).half()}
        write_sealed(map_store.shard_path(case.folder / "maps", number), save(maps))


def manifest(case: Case) -> Any:
    """The table, read."""
    from boxless.data.sources import load_manifest  # noqa: PLC0415 - imported when measured

    found = load_manifest(f"csv:{case.folder / 'table.csv'}")
    case.watch()
    return found


def read_table(case: Case) -> int:
    """Reader, labels, held-out split and folds."""
    found = manifest(case)
    train, held_out = found.split("train").holdout(0.1, seed=0)
    train.folds(10, seed=0)
    return len(train) + len(held_out) + len(found.split("test"))


def made_boxes(count: int) -> Iterator[Any]:
    """Boxes of each image."""
    import numpy as np  # noqa: PLC0415 - imported when measured

    from boxless.proposals.precision import half, on_lattice  # noqa: PLC0415
    from boxless.types import Proposals  # noqa: PLC0415

    rng = np.random.default_rng(1)
    made = []
    for _ in range(16):
        low = rng.random((BOXES, 2), np.float32) * 40
        boxes = np.concatenate([low, low + 8 + 16 * rng.random((BOXES, 2), np.float32)], 1)
        scores = half(np.sort(rng.random(BOXES, np.float32))[::-1])
        made.append(Proposals(on_lattice(boxes, 64, 64), np.ascontiguousarray(scores), 64, 64))
    return islice(cycle(made), count)


def write_proposals(case: Case) -> int:
    """A store of 500 boxes an image, shard by shard."""
    from boxless.proposals.extract import SHARD_SIZE  # noqa: PLC0415 - imported when measured
    from boxless.proposals.index import StoreInputs  # noqa: PLC0415
    from boxless.proposals.list_boxes import fill_store  # noqa: PLC0415

    found = manifest(case)
    ids = found.image_ids
    inputs = StoreInputs("made", {"boxes": BOXES}, found.fingerprint, SHARD_SIZE, ids)

    def entries() -> Iterator[Any]:
        for row, one in enumerate(zip(ids, made_boxes(len(ids)), strict=True)):
            if row % 500 == 0:
                case.watch()
            yield one

    return len(fill_store(case.folder / "proposals", inputs, entries()))


def read_proposals(case: Case) -> int:
    """Every image of the store in random order."""
    import numpy as np  # noqa: PLC0415 - imported when measured

    from boxless.proposals.store import ProposalStore  # noqa: PLC0415

    store = ProposalStore.open(case.folder / "proposals")
    ids = store.image_ids
    total = 0
    for row, place in enumerate(np.random.default_rng(0).permutation(len(ids))):
        total += len(store[ids[place]])
        if row % 500 == 0:
            case.watch()
    return total // BOXES


def read_cache(case: Case) -> int:
    """What stages 1 and 2 read of the teacher's cache."""
    from boxless.training.teacher_cache import TeacherCache  # noqa: PLC0415 - when measured

    cache = TeacherCache(case.folder / "cache", case.train)
    count = len(cache.targets)
    case.watch()
    return min(count, len(cache.objectness))


def read_maps(case: Case) -> int:
    """Maps of every image in random order, batch by batch."""
    import torch  # noqa: PLC0415 - imported when measured

    from boxless.training.map_store import MapStore  # noqa: PLC0415

    store = MapStore(case.folder / "maps", case.train)
    order = torch.randperm(case.train, generator=torch.Generator().manual_seed(0))
    total = 0
    for index in order.split(BATCH):
        total += len(store.maps(index, index % 2 == 0, "final"))
        case.watch()
    return total


def one_pass(case: Case) -> int:
    """A training epoch's batches: decode, crop, mirror, boxes of the store."""
    from boxless.data.images import load_image  # noqa: PLC0415 - imported when measured
    from boxless.data.kept_images import KeptImages  # noqa: PLC0415
    from boxless.proposals.store import ProposalStore  # noqa: PLC0415
    from boxless.training.batches import BatchStream, ViewDataset  # noqa: PLC0415

    train = manifest(case).split("train")
    store = ProposalStore.open(case.folder / "proposals")
    paths = [record.path for record in train.records]
    images = KeptImages(load_image, paths, limit_bytes=16 << 20)
    data = ViewDataset(train.records, images, proposals=store.__getitem__, regions=BOXES)
    stream = BatchStream(data, batch_size=BATCH, seed=0, sizes=(SIDE,), crop=0.4)
    total = 0
    for batch in stream.batches(0, min(stream.updates(1), PASS // BATCH)):
        total += len(batch.index)
        case.watch()
    return total


JOBS: dict[str, Callable[[Case], int]] = {
    "table of tags, read": read_table,
    "proposals, written": write_proposals,
    "proposals, read at random": read_proposals,
    "teacher cache, read": read_cache,
    "teacher maps, read at random": read_maps,
    "batches of a pass": one_pass,
}


def measure(job: str, case: Case) -> dict[str, Any]:
    """One job in this process."""
    for name in MODULES:
        import_module(name)
    start = status("RssAnon")
    wall, cpu = time.perf_counter(), time.process_time()
    images = JOBS[job](case)
    case.watch()
    return {
        "images": images,
        "seconds": time.perf_counter() - wall,
        "cpu_seconds": time.process_time() - cpu,
        "own_mib": (case.peak - start) / 1024,
        "peak_mib": status("VmHWM") / 1024,
    }


def in_own_process(job: str, case: Case) -> dict[str, Any]:
    words = [job, str(case.folder), *map(str, (case.train, case.test, case.classes))]
    command = [sys.executable, __file__, "--measure", *words]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def bytes_an_image(case: Case) -> dict[str, float]:
    """Disk of the stores, per image."""
    counts = {"proposals": case.images, "cache": case.train, "maps": case.train}
    return {
        name: sum(f.stat().st_size for f in (case.folder / name).iterdir()) / count
        for name, count in counts.items()
    }


def run_set(name: str, train: int, test: int, classes: int) -> list[dict[str, Any]]:
    """All jobs on one data set of one size."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        case = Case(Path(folder), train, test, classes)
        write_data(case)
        write_knowledge(case)
        for job in JOBS:
            rows.append({"data": name, "job": job, **in_own_process(job, case)})
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
        for row in rows:
            row["bytes_an_image"] = bytes_an_image(case)
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console  # noqa: PLC0415 - not in the processes that are measured
    from rich.table import Table  # noqa: PLC0415

    table = Table(title="At 2,000 images and at full size")
    for column in ("data", "what", "images", "CPU s", "ms an image", "own MiB", "peak MiB"):
        table.add_column(column, justify="left" if column in ("data", "what") else "right")
    for row in rows:
        each = 1000 * row["cpu_seconds"] / row["images"]
        numbers = f"{row['cpu_seconds']:.1f}", f"{each:.2f}"
        memory = f"{row['own_mib']:.0f}", f"{row['peak_mib']:.0f}"
        table.add_row(row["data"], row["job"], f"{row['images']:,}", *numbers, *memory)
    Console(width=120).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full size")
    names = ["2,000 images", *SETS]
    parser.add_argument("--sets", nargs="+", choices=names, default=names, help="what to measure")
    parser.add_argument("--quick", action="store_true", help="the same as --scale 0.01")
    parser.add_argument("--out", type=Path, default=Path("bench_scale.json"))
    parser.add_argument("--measure", nargs=5, metavar="WORD", help="internal")
    options = parser.parse_args()
    if options.measure:
        job, folder, *counts = options.measure
        print(json.dumps(measure(job, Case(Path(folder), *map(int, counts)))))
        return
    options.scale = 0.01 if options.quick else options.scale
    small = int(SMALL * min(1.0, 10 * options.scale))
    sizes = {"2,000 images": (small * 3 // 4, small - small * 3 // 4, 80)}
    for name, (train, test, classes) in SETS.items():
        sizes[name] = (int(train * options.scale), int(test * options.scale), classes)
    rows = [row for name in options.sets for row in run_set(name, *sizes[name])]
    show(rows)
    machine = {"machine": platform.processor() or platform.machine(), "scale": options.scale}
    facts = {**machine, "python": platform.python_version(), "rows": rows}
    options.out.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    print(f"written to {options.out}")


if __name__ == "__main__":
    main()
