"""What an image costs in each step an engine can carry out, and what Ray costs beside processes.

Photographs are enlarged to 640 x 480 (those of MS-COCO are about that large) and written as JPEGs;
painted scenes where there are none. Costs are CPU milliseconds an image of one process with one
thread, decoding included; networks are those of voc-lite0 with random weights, which do not change
the speed. Throughput is wall-clock: EdgeBoxes on as many local processes as Ray has cores.

    python benchmarks/bench_engines.py [--quick] [--out bench_engines.json]
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from bench_onnx import student
from measure import Figure, parser, publish, ratio, voc_mini
from PIL import Image

from boxless.data.images import load_image
from boxless.files.engine import Engine
from boxless.files.ray_engine import engine_beyond
from boxless.inference.predictor import Predictor
from boxless.proposals.extract import extract
from boxless.proposals.proposer import make_proposer
from boxless.proposals.store import ProposalStore
from boxless.recipe.recipe_files import load_recipe
from boxless.runs import build
from boxless.runs.export import onnx_bytes
from boxless.training import map_store, teacher_cache
from boxless.training.batches import ViewDataset
from boxless.training.map_store import MapShards, MapStore
from boxless.training.runtime import Runtime
from boxless.training.sharded import write_shards
from boxless.training.teacher_cache import KnowledgeShards
from boxless.types import ImageRecord, Proposals

CLASSES, WORKERS = 80, 2


def photographs(folder: Path, count: int) -> list[ImageRecord]:
    """JPEGs of 640 x 480."""
    root = voc_mini()
    sources = sorted((root / "JPEGImages").glob("*.jpg"))[:count] if root else []
    records = []
    for number in range(count):
        spec = f"scenes:v2,seed=0,size=160,split=train,index={number}"
        pixels = load_image(str(sources[number]) if sources else spec)
        path = folder / f"{number:05d}.jpg"
        Image.fromarray(pixels).resize((640, 480)).save(path, quality=90)
        records.append(ImageRecord(path.stem, str(path), "train", (1,) * CLASSES))
    return records


class Costs:
    """The steps, each from the files of the one before."""

    def __init__(self, records: list[ImageRecord], folder: Path) -> None:
        self.records, self.folder = records, folder
        self.recipe, self.runtime = load_recipe("voc-lite0"), Runtime(threads=1, cpu=True)
        recipe = load_recipe("voc-lite0", {"teacher.weights": "random"})
        self.teacher = build.detector(recipe, CLASSES).eval()
        self.runtime.place(self.teacher)
        model, about = student(128)
        (folder / "student.onnx").write_bytes(onnx_bytes(model, about))
        self.predictor = Predictor.load(folder / "student.onnx", threads=1)

    def propose(self, name: str, *, workers: int = 1, engine: Engine | None = None) -> None:
        """EdgeBoxes with the settings of the recipe."""
        config = self.recipe.proposals
        extract(
            self.records,
            make_proposer("edge_boxes", max_boxes=config.max_boxes, size=config.size),
            self.folder / name,
            manifest_fingerprint="m",
            load_image=load_image,
            workers=workers,
            engine=engine,
        )

    def predict(self) -> None:
        """From files to labels, batches of 16."""
        for _ in self.predictor.stream([record.path for record in self.records]):
            pass

    def maps(self) -> None:
        """The backbone's maps at the recipe's level."""
        size, level = self.recipe.teacher.input_size, self.recipe.teacher.level
        work = MapShards(self.teacher.backbone, size, (level,), lambda: self.runtime)
        path_of = partial(map_store.shard_path, self.folder / "maps")
        write_shards(ViewDataset(self.records, load_image), path_of, work)

    def cache(self) -> None:
        """What the teacher knows, from kept maps."""
        recipe, store = self.recipe, ProposalStore.open(self.folder / "one")
        dataset = ViewDataset(
            self.records, load_image, proposals=store.__getitem__, regions=recipe.teacher.regions
        )
        maps = MapStore(self.folder / "maps", len(self.records))
        size, knowledge = recipe.teacher.input_size, build.knowledge(recipe)
        work = KnowledgeShards(self.teacher, size, maps, None, knowledge, lambda: self.runtime)
        write_shards(dataset, partial(teacher_cache.shard_path, self.folder / "cache"), work)


def cpu_ms(call: Callable[[], None], images: int) -> float:
    """CPU milliseconds an image."""
    began = time.process_time()
    call()
    return 1000 * (time.process_time() - began) / images


def made_up(records: list[ImageRecord]) -> list[Proposals]:
    """500 boxes an image in no time: what is left is the cost of carrying them."""
    return [
        Proposals(np.zeros((500, 4), np.float32), np.ones(500, np.float32), 640, 480)
        for _ in records
    ]


def carried(engine: Engine, records: list[ImageRecord], units: int) -> float:
    """Images a second that one command can hand out and take back."""
    size = engine.images_per_unit
    unit = (records * size)[:size]
    began = time.perf_counter()
    for _ in engine.map(made_up, [unit] * units):
        pass
    return units * size / (time.perf_counter() - began)


def rates(costs: Costs, rounds: int) -> Iterator[tuple[float, float, float]]:
    """Images a second of local processes, of a Ray cluster that is up, and that Ray can carry."""
    with engine_beyond("ray", workers=WORKERS) as ray:
        costs.propose("warm", engine=ray)
        for number in range(rounds):
            found = []
            for name, options in {"local": {"workers": WORKERS}, "ray": {"engine": ray}}.items():
                began = time.perf_counter()
                costs.propose(f"{name}{number}", **options)
                found.append(len(costs.records) / (time.perf_counter() - began))
            yield found[0], found[1], carried(ray, costs.records, 8 * rounds * WORKERS)


def main() -> None:
    """Measure and publish."""
    options = parser(__doc__, "engines").parse_args()
    images = 32 if options.quick else 320
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "photographs").mkdir()
        records = photographs(folder / "photographs", images)
        costs = Costs(records, folder)
        steps = {
            "proposals, edge_boxes": lambda: costs.propose("one"),
            "prediction, student of voc-lite0 at 128 px": costs.predict,
            "teacher maps, voc-lite0 at 320 px": costs.maps,
            "teacher cache from kept maps, voc-lite0": costs.cache,
        }
        figures = [
            Figure(f"{title}, CPU ms an image", [cpu_ms(call, images)])
            for title, call in steps.items()
        ]
        local, ray, limit = zip(*rates(costs, 1 if options.quick else 2), strict=True)
        figures += [
            Figure(f"edge_boxes, images/s, {WORKERS} local processes", local),
            Figure(f"edge_boxes, images/s, Ray with {WORKERS} cores", ray),
            Figure("500 boxes an image that cost nothing, images/s, Ray with 2 cores", limit),
            Figure("Ray / local", ratio(ray, local), better="higher"),
        ]
        mean = float(np.mean([Path(record.path).stat().st_size for record in records]))
        figures.append(Figure("kB a photograph", [mean / 1000]))
    publish(f"Engines: {images} photographs of 640 x 480", figures, options)


if __name__ == "__main__":
    main()
