"""Seconds and peak memory of reading stand-ins of the full MS-COCO 2014 and NUS-WIDE.

Writes ``instances_train2014.json`` with as many images, objects and bytes as the real one (82,783
images, of which 82,081 show something; 604,907 objects; about 450 MB) and NUS-WIDE's official
folders (269,648 images, 209,347 with a concept) into a temporary folder, and reads each in a
process of its own. All COCO images share one file; those of NUS-WIDE are hard links. The peer is
``json.load``, on which pycocotools and torchvision build.

    python benchmarks/bench_readers.py --out bench_readers.json [--scale 0.01]
"""

import argparse
import json
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

COCO_IMAGES, COCO_LABELLED, COCO_OBJECTS = 82_783, 82_081, 604_907
NUS_TRAIN, NUS_TEST, NUS_LABELLED = 161_789, 107_859, 209_347
LINKS = 50_000  # hard links that a file system allows to one file, with room to spare


def write_coco(folder: Path, scale: float) -> Path:
    """MS-COCO's training file in size and form, written entry by entry."""
    images, labelled, objects = (
        int(count * scale) for count in (COCO_IMAGES, COCO_LABELLED, COCO_OBJECTS)
    )
    (folder / "annotations").mkdir(parents=True)
    (folder / "train2014").mkdir()
    (folder / "train2014" / "tiny.jpg").touch()
    dice = random.Random(0)
    outlines = [
        json.dumps([[round(dice.uniform(0, 640), 2) for _ in range(72)]]) for _ in range(500)
    ]
    path = folder / "annotations" / "instances_train2014.json"
    url = "http://farm5.staticflickr.com/4026/4622125393_84c1fdb8d6_z.jpg"
    with path.open("w") as file:
        file.write('{"info": {"year": 2014}, "images": [')
        file.write(
            ", ".join(
                f'{{"license": 3, "file_name": "tiny.jpg", "coco_url": "{url}", "height": 480, '
                f'"width": 640, "flickr_url": "{url}", "id": {image_id}}}'
                for image_id in range(images)
            )
        )
        file.write('], "annotations": [')
        for number in range(objects):
            x, y = dice.randrange(30000) / 100, dice.randrange(30000) / 100
            file.write(
                f'{", " if number else ""}{{"segmentation": {outlines[number % 500]}, "area": '
                f'{x * y:.4f}, "iscrowd": 0, "image_id": {number % labelled}, "bbox": [{x}, {y}, '
                f'{y + 1:.2f}, {x + 1:.2f}], "category_id": {dice.randrange(80)}, "id": {number}}}'
            )
        names = ", ".join(f'{{"id": {k}, "name": "class {k}"}}' for k in range(80))
        file.write(f'], "categories": [{names}]}}')
    return path


def write_nus_wide(folder: Path, scale: float) -> None:
    """NUS-WIDE's image lists, 162 label files and images."""
    import numpy as np  # noqa: PLC0415 - not in the processes that are measured

    from boxless.data.nus_wide import CONCEPTS  # noqa: PLC0415

    rng = np.random.default_rng(0)
    counts = {"Train": int(NUS_TRAIN * scale), "Test": int(NUS_TEST * scale)}
    total, labelled = sum(counts.values()), int(NUS_LABELLED * scale)
    table = rng.random((total, len(CONCEPTS)), np.float32) < 0.02
    table[np.arange(total), rng.integers(0, len(CONCEPTS), total)] = True
    table[rng.permutation(total)[labelled:]] = False
    labels = folder / "Groundtruth" / "TrainTestLabels"
    labels.mkdir(parents=True)
    (folder / "ImageList").mkdir()
    start = 0
    for split, count in counts.items():
        names = [f"folder{n % 704}\\{n:04d}_{10**9 + n}.jpg" for n in range(start, start + count)]
        (folder / "ImageList" / f"{split}Imagelist.txt").write_text("\r\n".join(names) + "\r\n")
        for concept, column in zip(CONCEPTS, table[start : start + count].T, strict=True):
            text = np.full((count, 2), ord("\n"), np.uint8)
            text[:, 0] = column + ord("0")
            (labels / f"Labels_{concept}_{split}.txt").write_bytes(text.tobytes())
        link_images(folder / "Flickr", names)
        start += count


def link_images(folder: Path, names: list[str]) -> None:
    """Give every name a hard link to an empty file."""
    for number in range(704):
        (folder / f"folder{number}").mkdir(parents=True, exist_ok=True)
    first = ""
    for row, name in enumerate(names):
        path = f"{folder}/{name}".replace("\\", "/")
        if row % LINKS:
            os.link(first, path)
        else:
            Path(path).touch()
            first = path


def read_manifest(spec: str) -> dict[str, Any]:
    """What boxless reads, and how many images of which split."""
    from boxless.data.sources import load_manifest  # noqa: PLC0415 - imported when measured

    manifest = load_manifest(spec)
    counts = {name: len(manifest.split(name)) for name in manifest.split_names}
    return {"images": counts, "boxes": sum(len(record.boxes or ()) for record in manifest.records)}


def read_json(path: str) -> dict[str, Any]:
    """The peer: the whole document as Python objects."""
    with Path(path).open("rb") as file:
        content = json.load(file)
    return {"images": {"all": len(content["images"])}, "boxes": len(content["annotations"])}


READERS: dict[str, Callable[[str], dict[str, Any]]] = {
    "boxless": read_manifest,
    "json.load": read_json,
}


def measure(reader: str, location: str) -> dict[str, Any]:
    """Read once, in this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = READERS[reader](location)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": wall, "cpu_seconds": cpu, "peak_mib": peak, **found}


def in_own_process(reader: str, location: str) -> dict[str, Any]:
    command = [sys.executable, __file__, "--measure", reader, location]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def show(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console  # noqa: PLC0415 - not in the processes that are measured
    from rich.table import Table  # noqa: PLC0415

    table = Table(title="Reading stand-ins of the full data sets")
    for column in ("data", "reader", "MB of text", "images", "CPU s", "wall s", "peak MiB"):
        table.add_column(column, justify="left" if column in ("data", "reader") else "right")
    for row in rows:
        numbers = f"{row['cpu_seconds']:.1f}", f"{row['seconds']:.1f}", f"{row['peak_mib']:.0f}"
        images = " + ".join(f"{count:,}" for count in row["images"].values())
        table.add_row(row["data"], row["reader"], f"{row['megabytes']:.0f}", images, *numbers)
    Console(width=110).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full size")
    parser.add_argument("--quick", action="store_true", help="the same as --scale 0.01")
    parser.add_argument("--out", type=Path, default=Path("bench_readers.json"))
    parser.add_argument("--measure", nargs=2, metavar=("READER", "LOCATION"), help="internal")
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(*options.measure)))
        return
    options.scale = 0.01 if options.quick else options.scale
    rows = []
    with tempfile.TemporaryDirectory() as name:
        coco, nus = Path(name) / "coco", Path(name) / "nus"
        path = write_coco(coco, options.scale)
        write_nus_wide(nus, options.scale)
        text = [*nus.glob("*/*.txt"), *nus.glob("*/*/*.txt")]
        jobs = (
            ("MS-COCO train2014", "boxless", f"coco:{coco}", [path]),
            ("MS-COCO train2014", "json.load", str(path), [path]),
            ("NUS-WIDE", "boxless", f"nus-wide:{nus}", text),
        )
        for data, reader, location, files in jobs:
            size = sum(file.stat().st_size for file in files) / 1e6
            rows.append({"data": data, "reader": reader, "megabytes": size})
            rows[-1] |= in_own_process(reader, location)
    show(rows)
    machine = {"machine": platform.processor() or platform.machine(), "scale": options.scale}
    facts = {**machine, "python": platform.python_version(), "readers": rows}
    options.out.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    print(f"written to {options.out}")


if __name__ == "__main__":
    main()
