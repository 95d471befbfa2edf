"""Damage every kind of file that boxless keeps, and count what is noticed when it is read.

Each trial takes a whole file, damages it at a random place (one flipped bit, a lost end, or a
sector of zeros), and reads it the way boxless does. It counts as detected if reading ends with an
error that names the file; as harmless if the values read are the same as ever; as silent if they
differ. Nothing may be silent.

    python benchmarks/bench_corruption.py --out bench_corruption.json [--quick] [--trials 1000]

The cost of looking is measured too: checksums of a file in memory, in MB of CPU time a second.
"""

import argparse
import json
import platform
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save
from torch import nn

from boxless.errors import BoxlessError
from boxless.files.seals import damage, write_sealed
from boxless.inference.student_file import open_student
from boxless.models.weight_files import read_safetensors
from boxless.proposals.index import INDEX_NAME, StoreInputs
from boxless.proposals.store import ProposalStore
from boxless.proposals.writer import ProposalWriter
from boxless.runs.evaluation import METRICS, PREDICTIONS, load_predictions, load_summaries
from boxless.training.checkpoint import NAME, Progress, load_checkpoint, save_checkpoint
from boxless.training.map_store import MapStore
from boxless.training.map_store import shard_path as map_shard
from boxless.training.teacher_cache import TeacherCache
from boxless.training.teacher_cache import shard_path as cache_shard
from boxless.types import Proposals

SECTOR = 512
DAMAGES = ("flipped bit", "lost end", "zeroed sector")


@dataclass(frozen=True)
class Kind:
    """A kind of file: one of it, and how boxless reads it; the reader's result is compared."""

    name: str
    file: Path
    read: Callable[[], Any]


def proposal_kinds(folder: Path, dice: np.random.Generator) -> list[Kind]:
    ids = tuple(f"image-{n}" for n in range(8))
    writer = ProposalWriter(folder, StoreInputs("grid", {"max_boxes": 50}, "data", 8, ids))
    low = dice.uniform(0, 40, (8, 50, 2))
    boxes = np.concatenate([low, low + dice.uniform(5, 50, low.shape)], 2).astype(np.float32)
    found = [
        (i, Proposals(b, dice.random(50).astype(np.float32), 100, 100))
        for i, b in zip(ids, boxes, strict=True)
    ]
    writer.write_shard(0, found)
    store = writer.finish()

    def read() -> list[Any]:
        store = ProposalStore.open(folder)
        return [(store[i].boxes, store[i].scores) for i in ids] + [store.index]

    return [
        Kind("proposal shard", folder / store.index.shards[0].file, read),
        Kind("proposal index", folder / INDEX_NAME, read),
    ]


def run_kinds(folder: Path, dice: np.random.Generator) -> list[Kind]:
    maps = dice.normal(size=(8, 16, 7, 7)).astype(np.float16)
    write_sealed(map_shard(folder, 0), save({"final": maps}))
    cached = {
        name: dice.random((8, 20), np.float32)
        for name in ("targets", "probabilities", "seen", "objectness")
    }
    write_sealed(cache_shard(folder, 0), save(cached))
    weights = {f"layer.{n}": dice.normal(size=(32, 32)).astype(np.float32) for n in range(8)}
    write_sealed(folder / "weights.safetensors", save(weights))
    write_sealed(folder / PREDICTIONS, save({"plain.0.test": dice.random((50, 20), np.float32)}))
    write_sealed(
        folder / METRICS, json.dumps({"variants": dice.random(200).tolist()}, indent=1).encode()
    )

    def read_maps() -> Any:
        return MapStore(folder, 8).maps(torch.arange(8), torch.zeros(8, dtype=torch.bool), "final")

    def read_cache() -> Any:
        cache = TeacherCache(folder, 8)
        return cache.targets, cache.probabilities, cache.seen, cache.objectness

    return [
        Kind("map shard", map_shard(folder, 0), read_maps),
        Kind("teacher cache shard", cache_shard(folder, 0), read_cache),
        Kind(
            "weights",
            folder / "weights.safetensors",
            lambda: read_safetensors(folder / "weights.safetensors"),
        ),
        Kind("predictions", folder / PREDICTIONS, lambda: load_predictions(folder)),
        Kind("metrics", folder / METRICS, lambda: load_summaries(folder)),
    ]


def checkpoint_kind(folder: Path) -> Kind:
    def parts() -> tuple[nn.Module, torch.optim.Optimizer]:
        net = nn.Sequential(nn.Linear(24, 24), nn.BatchNorm1d(24))
        return net, torch.optim.AdamW(net.parameters())

    net, optimizer = parts()
    net(torch.randn(6, 24)).square().sum().backward()
    optimizer.step()
    save_checkpoint(folder, net, optimizer, None, Progress(3, 1.5, {"best": 1.0}, {}))

    def read() -> Any:
        net, optimizer = parts()
        progress = load_checkpoint(folder, net, optimizer, None)
        return net.state_dict(), optimizer.state_dict()["state"], progress, torch.get_rng_state()

    return Kind("checkpoint", folder / NAME, read)


def student_kind(path: Path, student: Path) -> Kind:
    """The ONNX file of a run, sealed as exports are."""
    content = student.read_bytes()
    if damage(student) or b"boxless-seal" not in content[:256]:
        write_sealed(path, content)
    else:
        path.write_bytes(content)

    def read() -> Any:
        opened = open_student(path, threads=1)
        side = opened.metadata.input_size
        image = np.full((1, 3, side, side), 0.3, np.float32)
        return opened.metadata.model_dump(), opened.session.run(None, {"image": image})

    return Kind("exported student", path, read)


def harm(content: bytes, how: str, dice: random.Random) -> bytes:
    place = dice.randrange(len(content))
    if how == "lost end":
        return content[:place]
    broken = bytearray(content)
    if how == "flipped bit":
        broken[place] ^= 1 << dice.randrange(8)
    else:
        first = place - place % SECTOR
        last = min(first + SECTOR, len(content))
        broken[first:last] = bytes(last - first)
    return bytes(broken)


def same(one: Any, two: Any) -> bool:
    """Whether two results hold the same values, NaN being equal to itself."""
    if isinstance(one, dict) and isinstance(two, dict):
        return one.keys() == two.keys() and all(same(one[k], two[k]) for k in one)
    if isinstance(one, list | tuple) and isinstance(two, list | tuple):
        return len(one) == len(two) and all(map(same, one, two))
    if isinstance(one, torch.Tensor | np.ndarray):
        return np.asarray(one).tobytes() == np.asarray(two).tobytes()
    return bool(one == two)


def count(kind: Kind, trials: int, dice: random.Random) -> dict[str, Counter[str]]:
    whole = kind.file.read_bytes()
    wanted = kind.read()
    found: dict[str, Counter[str]] = {how: Counter() for how in DAMAGES}
    for number in range(trials):
        how = DAMAGES[number % len(DAMAGES)]
        broken = harm(whole, how, dice)
        kind.file.write_bytes(broken)
        try:
            outcome = "harmless" if same(kind.read(), wanted) else "SILENT"
        except BoxlessError as error:
            outcome = "detected" if kind.file.name in error.message else "detected, not named"
        if broken == whole:
            outcome = "unchanged"
        found[how][outcome] += 1
    kind.file.write_bytes(whole)
    return found


def speed() -> float:
    """MB of a sealed file looked over in a second of CPU time, its pages in memory."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "big.safetensors"
        write_sealed(path, save({"x": np.zeros(32_000_000, np.float32)}))
        damage(path)
        began = time.process_time()
        damage(path)
        return path.stat().st_size / 1e6 / (time.process_time() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    parser.add_argument("--trials", type=int, default=3000, help="trials a kind of file")
    parser.add_argument("--quick", action="store_true", help="60 trials a kind")
    parser.add_argument("--student", type=Path, help="an exported student.onnx to damage, too")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    trials = 60 if asked.quick else asked.trials
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        dice, folder = np.random.default_rng(asked.seed), Path(name)
        kinds = [*proposal_kinds(folder / "store", dice), *run_kinds(folder, dice)]
        kinds.append(checkpoint_kind(folder))
        if asked.student:
            kinds.append(student_kind(folder / "student.onnx", asked.student))
        rows = {}
        for kind in kinds:
            rows[kind.name] = count(kind, trials, random.Random(asked.seed))
            for how, outcomes in rows[kind.name].items():
                told = ", ".join(f"{n} {what}" for what, n in sorted(outcomes.items()))
                print(f"{kind.name:20} {how:14} {told}", flush=True)
    total = sum((c for row in rows.values() for c in row.values()), Counter())
    print("in all: " + ", ".join(f"{n} {what}" for what, n in sorted(total.items())))
    rate = speed()
    print(f"looked over: {rate:.0f} MB a second of CPU time")
    if asked.out:
        facts = {
            "trials_a_kind": trials,
            "seed": asked.seed,
            "machine": platform.processor() or platform.machine(),
            "kinds": rows,
            "total": total,
            "mb_per_cpu_second": rate,
        }
        asked.out.write_text(json.dumps(facts, indent=1))
    if total["SILENT"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
