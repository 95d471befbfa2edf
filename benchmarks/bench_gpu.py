"""What distilling costs on a GPU, and what the paper's recipe takes there; needs a GPU.

Painted photographs of MS-COCO's size (640 x 480, 80 classes) and random weights: speed does not
depend on what is seen. Students train in bf16 beside a plain loop of timm and torchvision, from
images that are kept decoded; the teacher's maps are kept too. ``--paper`` runs the recipe
``coco-vgg16`` from proposals to the report for a stated number of images and passes.

    python benchmarks/bench_gpu.py [--quick] [--paper] [--workers 14] [--out bench_gpu.json]
"""

import argparse
import csv
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from bench_distillation import Stage, students_of
from bench_regions import Case, Shape
from measure import Figure, interleaved, parser, publish, ratio
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from boxless.data.sources import load_manifest
from boxless.recipe.recipe_files import load_recipe
from boxless.runs.context import Run
from boxless.runs.execute import execute
from boxless.runs.record import read_record
from boxless.training.compiling import compiled

CLASSES, SIZE = 80, (640, 480)
RANDOM = {"teacher.weights": "random", "student.weights": "random", "proposals.method": "grid"}
RESNET = RANDOM | {
    "method": "regions",
    "teacher.parts": '["means"]',
    "student.backbone": "resnet50",
    "data.held_out": "0.05",
}
VGG = RANDOM | {
    "run.seeds": "1",
    "student.resize_from": "0",
    "stage1.teacher_maps": "cache",
    "stage1.optim.schedule": "cosine",
    "teacher.optim.epochs": "0.1",
    "run.precision": "bf16",
    "run.cache_gib": "4",
}
STUDENTS = {
    "ResNet-50": ("photos-gpu", RESNET, 64),
    "VGG16, max pooling": ("coco-vgg16", VGG, 32),
    "VGG16, exact form": ("coco-vgg16", VGG | {"stage1.form": "exact"}, 32),
}


def paint(folder: Path, images: int) -> str:
    """Write images with random tags and say how they are named to boxless."""
    names = [f"{number:05d}.jpg" for number in range(images)]
    with ProcessPoolExecutor() as pool:
        list(pool.map(_paint, [folder / name for name in names], chunksize=32))
    drawn = random.Random(0)
    with (folder / "tags.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "tags", "split"])
        for number, name in enumerate(names):
            tags = {number % CLASSES, *drawn.sample(range(CLASSES), 2)}
            split = "test" if number % 16 == 0 else "train"
            rows.writerow([name, "|".join(f"class {tag:02d}" for tag in sorted(tags)), split])
    return f"csv:{folder / 'tags.csv'}"


def _paint(path: Path) -> None:
    drawn = np.random.default_rng(int(path.stem))
    image = Image.fromarray(drawn.integers(0, 256, (15, 20, 3), dtype=np.uint8))
    fine = drawn.integers(-12, 13, (SIZE[1], SIZE[0], 3), dtype=np.int16)
    pixels = np.asarray(image.resize(SIZE, Image.Resampling.BICUBIC)) + fine
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path, quality=90)


class Kept(Dataset[tuple[Tensor, Tensor]]):
    """Decoded images, cropped, mirrored and resized by torchvision."""

    def __init__(self, run: Run, side: int) -> None:
        shrink = v2.Resize(512)
        files = [Image.open(record.path) for record in run.train.records]
        self.images = [shrink(v2.functional.pil_to_tensor(file)) for file in files]
        self.labels = torch.tensor(run.train.labels).float()
        cut = v2.RandomResizedCrop(side, scale=(0.4, 1), antialias=True)
        self.view = v2.Compose([cut, v2.RandomHorizontalFlip()])

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        return self.view(self.images[row]), self.labels[row]


def peer(run: Run, backbone: str, side: int, batch: int) -> Callable[[], None]:
    """An update of a plain loop: timm's network, torch's loader, bf16."""
    model = timm.create_model(backbone, num_classes=len(run.classes)).cuda()
    model = model.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    loss = nn.BCEWithLogitsLoss()
    loader = DataLoader(
        Kept(run, side), batch, shuffle=True, drop_last=True, pin_memory=True,
        num_workers=run.recipe.run.workers, persistent_workers=True,
    )  # fmt: skip
    batches = _endless(loader)

    def update() -> None:
        pixels, labels = next(batches)
        pixels = pixels.cuda(non_blocking=True).to(memory_format=torch.channels_last)
        with torch.autocast("cuda", torch.bfloat16):
            logits = model(pixels.float().sub_(127).div_(128))
        loss(logits.float(), labels.cuda(non_blocking=True)).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return update


def _endless(loader: DataLoader[Any]) -> Iterator[Any]:
    while True:
        yield from loader


def together(update: Callable[[], None], updates: int) -> Callable[[], None]:
    """So many updates, and the GPU waited for once, at their end."""

    def call() -> None:
        for _ in range(updates):
            update()
        torch.cuda.synchronize()

    return call


def students(spec: str, folder: Path, options: argparse.Namespace) -> list[Figure]:
    """Images per second of each kind of update, beside the plain loop."""
    found = []
    updates, rounds = (2, 1) if options.quick else (20, options.rounds or 5)
    for name, (recipe, settings, batch) in STUDENTS.items():
        sizes = {f"stage{n}.optim.batch_size": str(batch) for n in (1, 2)}
        chosen = settings | sizes | {"run.workers": str(options.workers)}
        run = Run(folder / name, spec, load_recipe(recipe, chosen), load_manifest(spec))
        execute(run, until="cache")
        steps = students_of(run, online=False)
        side, backbone = run.recipe.student.input_size, run.recipe.student.backbone
        calls = {key: together(fetched(step), updates) for key, step in steps.items()}
        calls["timm"] = together(peer(run, backbone, side, batch), updates)
        spent = interleaved(calls, rounds)
        both = [(a + b) / 2 for a, b in zip(spent["stage 1"], spent["stage 2"], strict=True)]
        rates = {key: [updates * batch / t for t in times] for key, times in spent.items()}
        facts = {"images_per_second": rates, "batch": batch, "workers": options.workers}
        title = f"{name}, {side} px, bf16"
        found += [
            Figure(f"{title}: plain student, images/s", rates["plain"], facts=facts),
            Figure(f"{title}: plain student / timm loop", ratio(spent["timm"], spent["plain"]),
                   "higher", 0.95),
            Figure(f"{title}: distilled (mean of both stages) / plain, images/s",
                   ratio(spent["plain"], both), "higher", None, 0.95),
            Figure(f"{title}: stage 1 / plain", ratio(spent["plain"], spent["stage 1"])),
            Figure(f"{title}: stage 2 / plain", ratio(spent["plain"], spent["stage 2"])),
            *compiled_gain(title, run, steps["plain"], rounds),
        ]  # fmt: skip
        print(*(f"{f.name}: {sorted(f.values)}" for f in found[-6:]), sep="\n", flush=True)
    return found


def fetched(stage: Stage) -> Callable[[], None]:
    """An update, its batch fetched too; no clock, which would wait for the GPU at every part."""
    return lambda: stage.update(next(stage.batches))


def compiled_gain(title: str, run: Run, stage: Stage, rounds: int) -> list[Figure]:
    """The plain update on a batch that lies on the GPU, compiled and not."""
    batch = next(stage.batches).to(run.runtime.device)
    update, spent = partial(stage.update, batch), {}
    for name, context in (
        ("eager", nullcontext()),
        ("compiled", compiled(stage.task.module, wanted=True)),
    ):
        with context:
            spent |= interleaved({name: together(update, 10)}, rounds)
    images = [10 * len(batch.index) / t for t in spent["compiled"]]
    return [
        Figure(f"{title}: torch.compile / eager, images/s, batch on the GPU",
               ratio(spent["eager"], spent["compiled"]), facts={"compiled": images}),
    ]  # fmt: skip


def bandwidth() -> float:
    """Bytes per second of a large copy on the GPU, those read and those written."""
    source = torch.randn(2**29, device="cuda")
    target = torch.empty_like(source)
    times = interleaved({"copy": together(lambda: target.copy_(source), 10)}, 5)["copy"]
    return 10 * 2 * source.nbytes / min(times)


def regions(rounds: int) -> list[Figure]:
    """The region form beside what the GPU's memory could do, and beside explicit RoIAlign."""
    case, rate = Case(Shape(14, 42, 512, 7, 500, 32)), bandwidth()
    for name in ("teacher", "boxes", "objectness", "mask"):
        setattr(case, name, getattr(case, name).cuda())
    case.student = case.student.detach().cuda().requires_grad_()
    case.form = case.build()
    calls = {"cached": case.cached, "built": case.built, "explicit": case.explicit}
    many = {"cached": 50, "built": 10, "explicit": 1}
    timed = {k: together(lambda k=k: case.step(calls[k]), many[k]) for k in calls}  # type: ignore[misc]
    spent = interleaved(timed, rounds)
    each = {k: [t / many[k] for t in times] for k, times in spent.items()}
    form, maps = case.form, case.student
    moved = form.gram.nbytes + form.target.nbytes + 4 * maps.nbytes  # read once, written once
    milliseconds = {k: [1000 * t for t in times] for k, times in each.items()}
    facts = {"bytes": moved, "copy_bytes_per_second": rate, "milliseconds": milliseconds}
    title = "region loss, 32 images, 500 regions, 7 x 7 bins, forward and backward"
    return [
        Figure("copy on the GPU, TB/s", [rate / 1e12]),
        Figure(f"{title}: bytes it must move / time, part of a copy's",
               [moved / t / rate for t in each["cached"]], facts=facts),
        Figure(f"{title}: explicit RoIAlign / cached", ratio(each["explicit"], each["cached"])),
        Figure(f"{title}: explicit RoIAlign / built", ratio(each["explicit"], each["built"])),
        Figure(f"{title}: building G, H, c, ms an image", [1000 * t / 32 for t in each["built"]]),
    ]  # fmt: skip


def paper(spec: str, folder: Path, options: argparse.Namespace) -> list[Figure]:
    """Images per second of every step of the recipe coco-vgg16, whole."""
    settings = RANDOM | {
        "run.workers": str(options.workers), "run.precision": "bf16", "run.seeds": "1",
        "run.cache_gib": "4", "data.held_out": "0.05",
        "teacher.optim.epochs": "1", "stage1.optim.epochs": "1", "stage2.optim.epochs": "2",
    }  # fmt: skip
    run = Run(folder / "paper", spec, load_recipe("coco-vgg16", settings), load_manifest(spec))
    start = time.perf_counter()
    execute(run)
    total = time.perf_counter() - start
    recipe, trained = run.recipe, len(run.train)
    passes = {
        "teacher": recipe.teacher.optim.epochs,
        "cache": 1.0,
        "features/regions/224px/seed-0": recipe.stage1.optim.epochs,
        "students/regions/224px/seed-0": recipe.stage2.optim.epochs,
        "students/plain/224px/seed-0": recipe.stage1.optim.epochs + recipe.stage2.optim.epochs,
    }
    found = [Figure("coco-vgg16 from proposals to report, s", [total], facts=_facts(run))]
    for name, many in passes.items():
        record = read_record(run.folder / name)
        if record is None:
            raise RuntimeError(f"step {name} is not done")
        found.append(Figure(f"coco-vgg16, {name}: images/s, evaluation of each pass included",
                            [many * trained / record.seconds], facts=record.facts))  # fmt: skip
    return found


def _facts(run: Run) -> dict[str, Any]:
    counts = {
        "trained_on": len(run.train),
        "held_out": len(run.held_out or ()),
        "test": len(run.test),
    }
    steps = sorted(path.parent for path in run.folder.rglob("step.json"))
    seconds = {str(s.relative_to(run.folder)): r.seconds for s in steps if (r := read_record(s))}
    return counts | {"seconds": seconds, "gpu": torch.cuda.get_device_name(0)}


def main() -> None:
    """Paint, time and publish."""
    known = parser(__doc__, "gpu")
    known.add_argument("--workers", type=int, default=8)
    known.add_argument("--paper", action="store_true", help="the recipe coco-vgg16, end to end")
    options = known.parse_args()
    if not torch.cuda.is_available():
        print("no GPU was found: nothing to measure")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "images").mkdir()
        images = 96 if options.quick else 2048 if options.paper else 512
        spec = paint(folder / "images", images)
        if options.paper:
            figures = paper(spec, folder, options)
        else:
            figures = regions(1 if options.quick else 5) + students(spec, folder, options)
    publish(f"on {torch.cuda.get_device_name(0)}", figures, options)


if __name__ == "__main__":
    main()
