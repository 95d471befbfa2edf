"""Recall and speed of the proposers on real images with true boxes (a VOC folder).

    python benchmarks/bench_proposals.py ../shared/data/voc-mini/VOCdevkit/VOC2007 --images 160

Prints a table of recall at IoU 0.5 and 0.7 for edge boxes (at several sizes), OpenCV's search as it
comes, the grid and random boxes, on one core, and writes the same as JSON. OpenCV's own edges need
a model file; its search is fed with thinned Sobel gradients at the image's own size instead. Images
come from the training split, in an order fixed by --seed; with --skip N the first N of that order,
on which settings were chosen, are left out. Nothing here looks at the test split.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
from defusedxml.ElementTree import parse
from measure import voc_mini
from PIL import Image
from rich.console import Console
from rich.table import Table

from boxless.errors import DataError
from boxless.files.progress import ProgressBar
from boxless.proposals.edge_box_search import thin
from boxless.proposals.extract import extract
from boxless.proposals.index import Setting
from boxless.proposals.proposer import Proposer, make_proposer
from boxless.proposals.recall import RecallTable, recall_table
from boxless.types import Float32Array, ImageRecord, TrueBox, UInt8Array

COUNTS = (10, 100, 300, 500)


def read_records(root: Path, count: int, skip: int, seed: int) -> list[ImageRecord]:
    """Training images of a VOC folder, shuffled; boxes 1-based inclusive -> 0-based exclusive."""
    listing = root / "ImageSets" / "Main" / "train.txt"
    if not listing.is_file():
        raise DataError(f"expected a VOC folder with {listing}, found none")
    ids = [line.split()[0] for line in listing.read_text().splitlines()]
    order = np.random.default_rng(seed).permutation(len(ids))[skip : skip + count]
    return [read_record(root, ids[row]) for row in order]


def read_record(root: Path, image_id: str) -> ImageRecord:
    annotation = root / "Annotations" / f"{image_id}.xml"
    boxes = []
    for item in parse(annotation).getroot().iter("object"):
        x1, y1, x2, y2 = (
            float(item.findtext(f"bndbox/{side}")) for side in ("xmin", "ymin", "xmax", "ymax")
        )
        boxes.append(TrueBox(0, (x1 - 1, y1 - 1, x2, y2), item.findtext("difficult") == "1"))
    path = root / "JPEGImages" / f"{image_id}.jpg"
    return ImageRecord(image_id, str(path), "train", (1,), tuple(boxes), str(annotation))


def load(path: str) -> UInt8Array:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


class PlainSearch:
    """OpenCV's EdgeBoxes with its own settings on thinned Sobel gradients, nothing scaled."""

    name = "plain_search"
    max_boxes = max(COUNTS)
    settings: ClassVar[dict[str, Setting]] = {"max_boxes": max_boxes}

    def __call__(self, image: UInt8Array) -> tuple[Float32Array, Float32Array]:
        """See `Proposer.__call__`."""
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
        across, down = (cv2.Sobel(grey, cv2.CV_32F, *axis) for axis in ((1, 0), (0, 1)))
        edges = np.hypot(across, down)
        edges /= max(float(edges.max()), 1e-6)
        angles = np.mod(np.arctan2(down, across), np.float32(np.pi))
        search = cv2.ximgproc.createEdgeBoxes(maxBoxes=self.max_boxes)
        found, scores = search.getBoundingBoxes(thin(edges, angles), angles)
        boxes = np.asarray(found, np.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        return boxes, np.asarray(scores, np.float32).reshape(-1)[: len(boxes)]


def measure(name: str, proposer: Proposer, records: list[ImageRecord]) -> tuple[dict, RecallTable]:
    """Figures of a proposer (speed on one core, with decoding), and its recall table."""
    with tempfile.TemporaryDirectory() as folder, ProgressBar(name) as progress:
        wall, cpu = time.perf_counter(), time.process_time()
        store = extract(
            records,
            proposer,
            Path(folder) / "store",
            manifest_fingerprint="benchmark",
            load_image=load,
            workers=1,
            progress=progress,
        )
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        table = recall_table(store, records, counts=COUNTS)
    result = {
        "name": name,
        "settings": proposer.settings,
        "recall": recalls(table, proposer.name),
        "images_per_second_wall": len(records) / wall,
        "images_per_second_cpu": len(records) / cpu,
        "recall_per_ms": recalls(table, proposer.name)["0.5"]["100"] / (1000 * cpu / len(records)),
    }
    return result, table


def recalls(table: RecallTable, name: str) -> dict[str, dict[str, float]]:
    """IoU -> number of boxes -> recall, as JSON wants it."""
    return {
        f"{row.iou:g}": dict(zip(map(str, table.counts), row.recalls, strict=True))
        for row in table.rows
        if row.name == name
    }


def ratios(results: list[dict]) -> dict[str, dict[str, dict[str, float]]]:
    """Recall of the default edge boxes divided by that of the grid and of random boxes."""
    edges = results[0]["recall"]
    return {
        other["name"]: {
            iou: {count: edges[iou][count] / max(value, 1e-9) for count, value in row.items()}
            for iou, row in other["recall"].items()
        }
        for other in results
        if other["name"] in ("grid", "random")
    }


def show(results: list[dict], title: str) -> None:
    view = Table(title=title)
    view.add_column("boxes")
    for iou in ("0.5", "0.7"):
        for count in COUNTS:
            view.add_column(f"{iou} @{count}", justify="right")
    view.add_column("images/s (CPU time)", justify="right")
    view.add_column("0.5 @100 per ms", justify="right")
    for result in results:
        values = [result["recall"][iou][str(n)] for iou in ("0.5", "0.7") for n in COUNTS]
        speed = result.get("images_per_second_cpu")
        worth = f"{result['recall_per_ms']:.4f}" if speed else ""
        cells = (f"{value:.3f}" for value in values)
        view.add_row(result["name"], *cells, f"{speed:.1f}" if speed else "", worth)
    Console(width=120).print(view)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "voc", type=Path, nargs="?", help="folder with ImageSets, Annotations, JPEGImages"
    )
    parser.add_argument("--quick", action="store_true", help="the same as --images 10")
    parser.add_argument("--images", type=int, default=160)
    parser.add_argument("--skip", type=int, default=100, help="images used to choose settings")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("bench_proposals.json"))
    options = parser.parse_args()
    options.voc = options.voc or voc_mini()
    if options.voc is None:
        print("skipped: no VOC folder named, none below BOXLESS_DATA", file=sys.stderr)
        return
    options.images = 10 if options.quick else options.images
    cv2.setNumThreads(1)
    records = read_records(options.voc, options.images, options.skip, options.seed)
    proposers = {
        "edge_boxes": make_proposer("edge_boxes"),
        "edge_boxes size 128": make_proposer("edge_boxes", size=128),
        "edge_boxes size 320": make_proposer("edge_boxes", size=320),
        "OpenCV's search": PlainSearch(),
        "grid": make_proposer("grid"),
    }
    measured = [measure(name, proposer, records) for name, proposer in proposers.items()]
    table = measured[0][1]
    results = [result for result, _ in measured]
    results.append({"name": "random", "recall": recalls(table, "random")})
    show(results, f"Recall of {table.objects} objects in {len(records)} images")
    facts = {
        "date": date.today().isoformat(),
        "data": f"{options.voc.parent.parent.name}/{options.voc.name} train, "
        f"{len(records)} images ({options.skip} skipped, seed {options.seed}), "
        f"{table.objects} objects",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, one used; load average "
        f"{os.getloadavg()[0]:.1f}",
        "versions": {
            "python": platform.python_version(),
            "opencv": cv2.__version__,
            "numpy": np.__version__,
        },
        "results": results,
        "edge_boxes_recall_divided_by": ratios(results),
    }
    options.out.write_text(json.dumps(facts, indent=2) + "\n")
    print(f"written: {options.out}", file=sys.stderr)


if __name__ == "__main__":
    main()
