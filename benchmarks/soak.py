"""Long runs: memory, open files and processes of the real commands while they work on and on.

    python benchmarks/soak.py --out soak.json
    python benchmarks/soak.py --parts serve --requests 100000

Parts: ``train`` (`boxless train` with 10,000 updates and a loading process, the recipe of the tests
in batches of two: a fifth each for teacher and both stages, two fifths for the plain student),
``predict`` (`boxless predict` over a folder of 20,000 images), ``serve`` (`boxless serve`,
20,000 requests, its log in small files). Each command is a process of its own; twice a second the
memory of it and its children is looked at (proportional set size: shared pages count once), their
open files, processes and threads. Flat is what holds at its end no more than after a tenth of its
time, but for 5 % or 24 MiB of memory, and has no more files, processes and threads in the second
half of its time than in the first, but for the files of a batch on its way.
"""

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from kill_campaign import TESTS, doing
from measure import machine
from process_table import every_process
from serving_load import environment, load, served

from boxless.inference.predictor import Predictor

sys.path.insert(0, str(TESTS))

from command_line import TINY

SPEC = "scenes:train=400,test=100,size=64"
TRAINED, BATCH = 320, 2  # a fifth is held out; images an update
EVERY = 0.5  # seconds between looks
SLACK, MIB = 0.05, 24.0  # growth that is noise: this share, or so much
FILES = 8  # batches on their way from a loading process are open files


@dataclass(frozen=True)
class Look:
    """A process and its children at one moment.

    Attributes:
        label: What they were doing.
        seconds: Since the first look.
        mib: Memory.
        files: Open file descriptors.
        processes: How many they are.
        threads: Of all of them.
    """

    label: str
    seconds: float
    mib: float
    files: int
    processes: int
    threads: int


class Watch(threading.Thread):
    """Looks at a process and its children twice a second until it ends.

    Args:
        pid: The process.
        label: Says what it is doing just now.
    """

    def __init__(self, pid: int, label: Callable[[], str]) -> None:
        super().__init__(daemon=True)
        self.pid, self.label = pid, label
        self.looks: list[Look] = []
        self.over = threading.Event()

    def run(self) -> None:
        """Look until told to stop or nothing is left."""
        began = time.monotonic()
        while not self.over.wait(EVERY):
            looks = [look for look in map(_one, family(self.pid)) if look is not None]
            if not looks:
                return
            mib, files, threads = (sum(values) for values in zip(*looks, strict=True))
            seconds = time.monotonic() - began
            self.looks.append(Look(self.label(), seconds, mib, files, len(looks), threads))

    def stop(self) -> list[Look]:
        """End, and return all looks."""
        self.over.set()
        self.join()
        return self.looks


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for process in every_process():
        children.setdefault(process.parent, []).append(process.number)
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


def _one(pid: int) -> tuple[float, int, int] | None:
    """Memory in MiB, open files and threads of a process; None if it has ended."""
    folder = Path(f"/proc/{pid}")
    try:
        lines = (folder / "smaps_rollup").read_text("utf-8").splitlines()
        files = len(os.listdir(folder / "fd"))  # noqa: PTH208
        threads = len(os.listdir(folder / "task"))  # noqa: PTH208
    except OSError:
        return None
    pss = [int(line.split()[1]) for line in lines if line.startswith("Pss:")]
    return (pss[0] / 1024, files, threads) if pss else None


@dataclass(frozen=True)
class Stretch:
    """One command, or one step of it, from a tenth of its time to its end.

    Attributes:
        name: What was done.
        count: How often.
        seconds: How long.
        mib: Memory after a tenth of the time, in the middle, at the end.
        files: Open files at those three moments.
        processes: Processes.
        threads: Threads.
        flat: Whether nothing grew.
    """

    name: str
    count: int
    seconds: float
    mib: tuple[float, ...]
    files: tuple[int, ...]
    processes: tuple[int, ...]
    threads: tuple[int, ...]
    flat: bool


def stretch(name: str, count: int, looks: list[Look]) -> Stretch:
    """Sum up what was seen; memory is the mean of three looks."""
    if len(looks) < 10:
        raise SystemExit(f"{name} was over after {len(looks)} looks: ask for more")
    last = len(looks) - 1
    places = [max(1, last // 10), last // 2, last - 1]
    mib = tuple(sum(look.mib for look in looks[p - 1 : p + 2]) / 3 for p in places)
    files, processes, threads = (
        tuple(getattr(looks[p], field) for p in places)
        for field in ("files", "processes", "threads")
    )
    flat = mib[2] <= mib[0] + max(SLACK * mib[0], MIB)
    for field, slack in (("files", FILES), ("processes", 0), ("threads", 0)):
        values = [getattr(look, field) for look in looks]
        flat = flat and max(values[last // 2 :]) <= max(values[: last // 2]) + slack
    seconds = looks[-1].seconds - looks[0].seconds
    return Stretch(name, count, seconds, mib, files, processes, threads, flat)


def watched(words: list[str], log: Path, label: Callable[[], str]) -> list[Look]:
    """Run a command to its end and look at it."""
    with log.open("wb") as streams:
        command = [sys.executable, "-m", "boxless", *words]
        process = subprocess.Popen(command, env=environment(), stdout=streams, stderr=streams)
        watch = Watch(process.pid, label)
        watch.start()
        code = process.wait()
    if code:
        raise SystemExit(f"{' '.join(words)} ended with {code}:\n{log.read_text('utf-8')[-3000:]}")
    return watch.stop()


def train(folder: Path, updates: int) -> list[Stretch]:
    """`boxless train` with many updates."""
    run, log = folder / "run", folder / "train.log"
    words = ["train", SPEC, "--recipe", str(TINY), "--out", str(run), "--run.workers=1"]
    words += ["--run.checkpoint_seconds=10"]
    epochs = updates / 5 * BATCH / TRAINED
    for name in ("teacher", "stage1", "stage2"):  # the plain student has as many as both stages
        words += [f"--{name}.optim.batch_size={BATCH}", f"--{name}.optim.epochs={epochs}"]
    looks = watched(words, log, lambda: doing(log.read_text("utf-8")))
    found = []
    for record in sorted(run.rglob("step.json")):
        facts = json.loads(record.read_bytes())["facts"]
        if "updates" in facts:
            name = str(record.parent.relative_to(run))
            own = [look for look in looks if look.label == name]
            found.append(stretch(f"train: {name}", facts["updates"], own))
            size = (record.parent / "events.jsonl").stat().st_size
            print(f"{name}/events.jsonl: {size / facts['updates']:.1f} bytes an update")
    return found


def predict(folder: Path, images: int) -> list[Stretch]:
    """`boxless predict` over a folder with the same images again and again."""
    photos, out = folder / "photos", folder / "labels.csv"
    sources = sorted((folder / "sources").glob("*.png"))
    for number in range(images):
        place = photos / f"{number // 1000:03d}"
        place.mkdir(parents=True, exist_ok=True)
        os.link(sources[number % len(sources)], place / f"{number:06d}.png")
    words = ["predict", str(folder / "student.onnx"), str(photos), "--out", str(out)]
    words += ["--threads", "1"]

    def label() -> str:
        return "work" if any(folder.glob(".labels.csv.*")) else "start"

    looks = watched(words, folder / "predict.log", label)
    rows = {line.partition(",")[0] for line in out.read_text("utf-8").splitlines()[1:]}
    if len(rows) != images:
        raise SystemExit(f"{len(rows)} of {images} images are in {out}")
    return [stretch("predict: images", images, [k for k in looks if k.label == "work"])]


def serve(folder: Path, requests: int) -> list[Stretch]:
    """`boxless serve` under load."""
    student = folder / "student.onnx"
    images = [path.read_bytes() for path in sorted((folder / "sources").glob("*.png"))]
    labels = [p.labels[0].name for p in Predictor.load(student, threads=1).predict(images)]
    with served(student, "--threads", "1") as server:
        watch = Watch(server.process.pid, lambda: "work")
        watch.start()
        outcome = asyncio.run(load(server.port, images, labels, requests=requests, connections=16))
        looks = watch.stop()
    if outcome.lost or outcome.wrong or outcome.statuses[200] != requests:
        raise SystemExit(f"replies lost {outcome.lost}, wrong {outcome.wrong}: {outcome.statuses}")
    return [stretch("serve: requests", requests, looks)]


def prepare(folder: Path, student: Path | None) -> None:
    """A student to predict with, from a short run or a given file, and some images."""
    made = folder / "short"
    if student is None:
        words = ["train", SPEC, "--recipe", str(TINY), "--out", str(made)]
        watched(words, folder / "short.log", lambda: "")
    shutil.copy(student or made / "export" / "student.onnx", folder / "student.onnx")
    words = ["data", "convert", SPEC, str(folder / "tags.csv"), "--split", "test"]
    words += ["--images", str(folder / "sources")]
    watched(words, folder / "convert.log", lambda: "")


def show(found: list[Stretch]) -> str:
    """The table that is printed."""
    rows = [f"{'':24}{'count':>8}{'minutes':>9}{'MiB at 10, 50, 100 %':>24}{'files':>16}  flat"]
    for one in found:
        mib = " ".join(f"{value:.0f}" for value in one.mib)
        files = " ".join(map(str, one.files))
        rows.append(
            f"{one.name:24}{one.count:8,}{one.seconds / 60:9.1f}{mib:>24}{files:>16}"
            f"  {'yes' if one.flat else 'NO'}"
        )
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--parts", default="train,predict,serve")
    parser.add_argument("--updates", type=int, default=10_000)
    parser.add_argument("--predictions", type=int, default=20_000)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--student", type=Path, help="a student.onnx to predict with")
    parser.add_argument("--out", type=Path, default=Path("soak.json"))
    asked = parser.parse_args()
    parts, found = asked.parts.split(","), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "train" in parts:
            found += train(folder, asked.updates)
        if {"predict", "serve"} & set(parts):
            trained = folder / "run" / "export" / "student.onnx"
            prepare(folder, asked.student or (trained if trained.exists() else None))
        if "predict" in parts:
            found += predict(folder, asked.predictions)
        if "serve" in parts:
            found += serve(folder, asked.requests)
    print(show(found))
    hours = sum(one.seconds for one in found) / 3600
    facts = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "hours": hours,
        "stretches": [asdict(one) for one in found],
    }
    asked.out.write_text(json.dumps(facts, indent=1) + "\n", "utf-8")
    print(f"{hours:.2f} hours soaked")
    raise SystemExit(not all(one.flat for one in found))


if __name__ == "__main__":
    main()
